"""sh(1), and the register of programs; not which programs there are."""

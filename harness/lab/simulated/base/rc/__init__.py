"""rc(8): services and their register, rc.conf(5), what starts and stops them, in which order."""

"""What the host lacks for each lab, and what mends it."""

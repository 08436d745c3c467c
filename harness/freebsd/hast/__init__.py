"""What hastctl(8) and hastd(8) print, and what they read."""

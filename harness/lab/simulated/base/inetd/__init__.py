"""inetd(8): it starts a program for each connection."""

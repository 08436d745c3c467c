"""Disks, NICs and Ethernet segments; no kernel."""

"""Disks and their requests; no kernel."""

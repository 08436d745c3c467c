"""Interfaces, ARP, IPv4, UDP, TCP, firewalls, and their commands."""

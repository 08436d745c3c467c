"""Interfaces, TCP, firewalls, and their commands."""

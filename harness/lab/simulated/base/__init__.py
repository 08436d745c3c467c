"""The base system: rc(8), boot, shutdown, syslog, services."""

"""hastd: its configuration, its control socket, hastctl(8)."""

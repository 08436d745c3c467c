"""Programs that ask and tell the host: its processes, its users, its counters."""

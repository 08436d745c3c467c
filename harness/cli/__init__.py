"""The command line: the only place that knows it. Each command imports what it needs itself."""

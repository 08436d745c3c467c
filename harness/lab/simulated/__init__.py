"""The simulated lab: a model of two FreeBSD nodes behind a real SSH server. Never evidence."""

"""A test harness for HAST and ZFS on two real FreeBSD machines, skunk1 and skunk2."""

__version__ = "0.1.0"

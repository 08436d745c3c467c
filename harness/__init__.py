"""A test harness for HAST and ZFS on two real FreeBSD machines, skunk1 and skunk2.

PYTEST_DONT_REWRITE: imported before pytest, which else warns that it cannot look into its asserts.
"""

__version__ = "0.1.0"

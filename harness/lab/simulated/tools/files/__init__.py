"""Programs that copy, list, mount and pack files."""

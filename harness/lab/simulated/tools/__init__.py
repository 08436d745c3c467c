"""The small programs of the base system."""

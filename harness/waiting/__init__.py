"""Time: clocks, deadlines, Ctrl-C, work on both nodes at once, and where the time went."""

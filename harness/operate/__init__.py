"""Operating a pair by hand: what the commands `up`, `status`, `ssh`, `cut` and so on do.

Also what a run shows while it lasts, and what it keeps of a failure.
"""

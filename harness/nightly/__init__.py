"""What runs every night: which releases on which labs, what changed, and who is told."""

"""What is left of a run for machines and for later runs: results.json, a summary, the history."""

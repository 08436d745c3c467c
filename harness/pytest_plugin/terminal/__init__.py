"""What a run tells people while it goes on: verdicts, failures, the live line, the last lines."""

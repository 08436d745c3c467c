"""What a command line of sh(1) says, before anything runs: grammar, patterns, arithmetic."""

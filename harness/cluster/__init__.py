"""Two nodes as one pair: commands, roles, provisioning, audit; not which lab they are on."""

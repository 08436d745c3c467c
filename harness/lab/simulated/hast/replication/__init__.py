"""What a worker of hastd does: the two roles, the handshake, the resync."""

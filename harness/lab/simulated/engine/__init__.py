"""Time, events, signals: what everything in the model waits for; no guests."""

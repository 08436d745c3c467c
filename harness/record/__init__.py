"""The names and formats of what a run leaves; not who writes or reads it."""

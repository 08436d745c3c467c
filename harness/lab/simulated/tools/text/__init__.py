"""Programs that read and change text: awk, sed, grep and the small ones."""

"""What is set: the settings, where files are, and YAML read strictly."""

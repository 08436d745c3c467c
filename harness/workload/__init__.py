"""What is written to the cluster while it is tested, and how it is checked afterwards."""

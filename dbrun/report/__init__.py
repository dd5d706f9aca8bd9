"""What is said of a run: pure functions of manifest and results."""

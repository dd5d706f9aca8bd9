"""How many calls at once, how many a second: arithmetic that `limits.py` keeps to."""

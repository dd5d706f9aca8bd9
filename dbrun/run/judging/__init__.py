"""What came out: scores, their means, the counts, and whether gates are met."""

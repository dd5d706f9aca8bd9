"""What a change does: two sides of results, paired and judged alike."""

"""Making the two sides of a comparison with an earlier revision; nothing is sent."""

"""What a run leaves behind, and what it finds there: results, manifest, what they stand on."""

"""dbrun in continuous integration: what the GitHub Action at the root of the repository runs."""

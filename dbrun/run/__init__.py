"""A pipeline at work: the recipe, the open processor, the executor, the manifest, the engines."""

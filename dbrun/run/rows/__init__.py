"""From a source's rows to the items that are worked on, in their order."""

"""Where records go, one module a format."""

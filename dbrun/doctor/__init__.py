"""`dbrun doctor`: looks at everything that a run needs, before it needs it."""

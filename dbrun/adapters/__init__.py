"""Endpoints by name: wire formats as pure functions, and where to send them."""

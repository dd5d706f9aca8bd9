"""Engines: what maps a processor over a source and into a sink."""

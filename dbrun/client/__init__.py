"""Talking to an endpoint: transport, credentials, retries, limits, and the journal of answers."""

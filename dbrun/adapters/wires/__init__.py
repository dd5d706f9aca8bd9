"""Wire formats: pure functions between a request and the JSON that travels."""

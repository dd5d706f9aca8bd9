"""HTTP/1.1 over plain sockets, and the way out for whatever is unusual."""

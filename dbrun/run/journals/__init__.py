"""The journal as files: what it holds, batches of it in and out, making it smaller."""

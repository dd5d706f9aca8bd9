"""A page that shows results: one HTML file with all that it needs, made in bounded memory."""

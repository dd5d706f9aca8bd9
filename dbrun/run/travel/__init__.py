"""What goes to other machines and comes back: the recipe, rows, records, files on volumes."""

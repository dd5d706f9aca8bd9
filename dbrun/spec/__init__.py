"""Reading a pipeline file: text, marks, merging, schema, templates, references."""

"""Judgements of records: each type gives one number or boolean for a record."""

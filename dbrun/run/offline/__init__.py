"""What is told of a spec without sending anything: plans, rehearsals, replays, proofs."""

"""From a request to its answer: the journal, the limits, the money, the one retry loop."""

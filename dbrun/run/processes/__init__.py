"""Worker processes: several processors at one run, each with its share of the limits.

    local engine ── Crew ══ pipes ══ Worker ── Processor ── journal segment of its own
         │            │                 └── its share of the limits
      one sink     deals items, hands records out in source order

Only runs with `limits.processes` above 1 import this package.
"""

"""What a Databricks job does with a wheel task, as far as one can see it from outside.

    python as_a_job.py PACKAGE ENTRY_POINT PARAMETER…

The entry point is looked up in the metadata of the package, and called with the parameters in
`sys.argv`. Whatever it returns is passed over; whatever it raises, an exit with code 0 included,
fails the task. The process exits with 0 or 1, and says on the last line how the task ended.
"""

import sys
from importlib.metadata import distribution


def run(package: str, name: str) -> str:
    """How the task ends: `succeeded`, or what it raised."""
    found = [one for one in distribution(package).entry_points if one.name == name]
    try:
        found[0].load()()
    except BaseException as error:
        return f"failed: {type(error).__name__}: {error}"
    return "succeeded"


if __name__ == "__main__":
    package, name = sys.argv[1:3]
    sys.argv = [sys.argv[0], *sys.argv[3:]]
    ended = run(package, name)
    print(ended)
    sys.exit(ended != "succeeded")

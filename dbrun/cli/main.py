"""The command `dbrun`: what it is called with, what it does, what it exits with."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Sequence

from .. import __version__
from .group import CommandTable, LazyGroup
from .output import flush
from .session import Session
from .trouble import INTERRUPTED, ending, silence_output

COMMANDS: CommandTable = {
    "Run": {
        "run": "Ask for every row that has no answer yet, write the results.",
    },
    "Look before you run": {
        "validate": "Check specs without calling an endpoint.",
        "show": "Print the merged spec, with where each value came from.",
        "render": "Print the exact requests as JSON Lines, offline.",
        "test": "Run the offline tests of specs; nothing is called.",
        "plan": "Say what a run would send, reuse, cost and take.",
    },
    "Look after a run": {
        "verify": "Check results against their manifest, or against their spec.",
        "report": "Make one HTML page of results, to read, search and compare.",
        "diff": "Say what changed between two results, and whether they got worse.",
        "export": "Write results for other tools, or as a table.",
        "import": "Make results of what OpenAI's Batch API or promptfoo wrote.",
        "journal": "Show the journal of answers; prune, compact, export or fill it.",
    },
    "Set up": {
        "init": "Make a project to start from.",
        "job": "Print the Databricks job that runs specs, for a bundle.",
        "doctor": "Look whether everything is there that a run needs.",
        "adapters": "List what is installed: adapters, sources and sinks, with their options.",
        "local": "Install or list the small model that runs in this process.",
        "schema": "Print the JSON Schema of specs, records or manifests.",
        "completion": "Print the completion script of a shell.",
    },
}
"""Heading → command → what it does. A command's module is imported when it is named."""

EXAMPLES = """\
dbrun pipelines/summarize.yaml               run a spec; the same again continues it
dbrun pipelines/summarize.yaml --limit 5     try it on five rows first
dbrun validate 'pipelines/*.yaml'            check specs; nothing is called
dbrun render pipelines/summarize.yaml        see what would be sent
dbrun test 'pipelines/*.yaml'                try specs on the tests in them
"""

COMPLETE = "_DBRUN_COMPLETE"
"""The variable by which a shell asks for completions."""


def make_group() -> LazyGroup:
    """The command line as an object of click."""
    return LazyGroup(
        "dbrun",
        table=COMMANDS,
        examples=EXAMPLES,
        version=__version__,
        help="Turn a reviewed YAML file and a set of rows into a JSON Lines file of answers. "
        "Each distinct request is paid for once.\n\n"
        "'dbrun SPEC…' is 'dbrun run SPEC…'.",
    )


def main(argv: Sequence[str] | None = None, session: Session | None = None) -> int:
    """Run the command line *argv* (the process's own unless given) and give its exit code.

    *session* tells afterwards what was said.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    session = session or Session(words)
    with ending(session) as end:
        end.code = make_group().call(words, session)
        flush()
    return end.code


def entry() -> None:
    """The program `dbrun`. Never returns."""
    # What is imported stays: looking it through for garbage takes a moment, each time.
    gc.set_threshold(200_000, 20, 50)
    if COMPLETE in os.environ:
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(make_group(), {}, "dbrun", COMPLETE, os.environ[COMPLETE]))
    _open_streams()
    code = main()
    silence_output()
    if code >= INTERRUPTED or threading.active_count() > 1:
        # Calls that were given up may block in a socket for minutes more; nothing that they
        # could still bring is waited for, and everything that was answered is on disk. And
        # Python may remember an interrupt that was handled, and end by its signal all the same.
        os._exit(code)
    sys.exit(code)


def _open_streams() -> None:
    """Give what is written to a closed stream (`2>&-`) somewhere to go."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115

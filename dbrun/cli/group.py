"""The group of commands, loaded when named: help and mistakes are answered at once."""

from __future__ import annotations

import keyword
import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

import click

from ..spelling import nearest
from .session import Session, talkative

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

CommandTable: TypeAlias = Mapping[str, Mapping[str, str]]
"""Heading → command → one line of help."""

WORDS = "dbrun.words"
"""Where a context's `meta` keeps the words from the command's name on."""

EXIT_USAGE = 2
"""The same as `errors.EXIT_USAGE`, which is not imported for the sake of help alone."""

_DEFAULT = "run"


class LazyGroup(click.Group):
    """Commands by name, each the `command` of its module in `dbrun.cli`.

    Words that name a spec and no command are what `run` is called with.
    """

    def __init__(
        self, name: str, *, table: CommandTable, examples: str, version: str, help: str
    ) -> None:
        super().__init__(
            name,
            help=help,
            no_args_is_help=False,
            subcommand_metavar="COMMAND | SPEC…",
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )
        self._table = table
        self._examples = examples
        click.version_option(version, prog_name="dbrun", message="%(prog)s %(version)s")(self)
        talkative(self)

    def call(self, words: list[str], session: Session) -> int:
        """Parse *words*, run the command and give its exit code.

        Raises:
            click.ClickException: the words make no sense.
            DbrunError: what the command met.
        """
        try:
            with self.make_context("dbrun", list(words), obj=session) as context:
                if not words:
                    session.say(context.get_help())
                    return EXIT_USAGE
                return int(self.invoke(context) or 0)
        except click.exceptions.Exit as done:
            return done.exit_code

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the table."""
        return [name for commands in self._table.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called *cmd_name*; its module is imported now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"dbrun.cli.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`dbrun --limit 5 SPEC` is meant for `run`: it begins with an option that is not ours."""
        if args and args[0].startswith("-") and args[0].partition("=")[0] not in self._own(ctx):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names, or `run` if it names a spec."""
        word = args[0]
        ctx.meta[WORDS] = list(args)
        command = self.get_command(ctx, word)
        if command is not None:
            return word, command, args[1:]
        if looks_like_spec(word) or ctx.resilient_parsing:
            return _DEFAULT, self.get_command(ctx, _DEFAULT), args
        raise click.UsageError(self._unknown(ctx, word), ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, or files where no command begins like that."""
        from click.shell_completion import CompletionItem

        found = super().shell_complete(ctx, incomplete)
        return found or [CompletionItem(incomplete, type="file")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their headings, then examples; no command is imported."""
        widest = max(map(len, self.list_commands(ctx)))
        for heading, commands in self._table.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), said) for name, said in commands.items()])
        with formatter.section("Examples"):
            for line in self._examples.splitlines():
                formatter.write(" " * formatter.current_indent + line + "\n")

    def _own(self, ctx: click.Context) -> set[str]:
        return {name for option in self.get_params(ctx) for name in option.opts}

    def _unknown(self, ctx: click.Context, word: str) -> str:
        said = f"'{word}' is neither a command nor a file"
        near = nearest(word, self.list_commands(ctx)) or _spec_called(word)
        if near is not None:
            return f"{said}; did you mean '{near}'?"
        return f"{said}; the commands are {', '.join(self.list_commands(ctx))}"


def looks_like_spec(word: str) -> bool:
    """Whether *word* can only be meant as the path of a spec."""
    if word.lower().endswith((".yaml", ".yml")) or os.path.exists(word):
        return True
    return any(sign in word for sign in (os.sep, "/", "*", "?"))


def _spec_called(word: str) -> str | None:
    """The spec file hereabouts whose name is nearest to *word*."""
    found: dict[str, str] = {}
    for folder in (".", "pipelines"):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            base, extension = os.path.splitext(name)
            if extension in (".yaml", ".yml"):
                found.setdefault(base, os.path.normpath(os.path.join(folder, name)))
    return found.get(nearest(word, found) or "")

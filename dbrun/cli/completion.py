"""`dbrun completion SHELL`: the script that makes a shell complete commands, files and targets."""

from __future__ import annotations

import click

from .session import talkative

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(_SHELLS))
@talkative
@click.pass_context
def command(context: click.Context, /, shell: str) -> int:
    """Print the script that makes SHELL complete commands, options, files and targets.

    \b
    bash:  dbrun completion bash > ~/.local/share/bash-completion/completions/dbrun
    zsh:   dbrun completion zsh > ~/.zfunc/_dbrun
    fish:  dbrun completion fish > ~/.config/fish/completions/dbrun.fish
    """
    from click.shell_completion import get_completion_class

    from .main import COMPLETE
    from .output import write_line

    maker = get_completion_class(shell)
    assert maker is not None  # one of click's own
    script = maker(context.find_root().command, {}, "dbrun", COMPLETE)
    # The template is filled here, for click would first start the shell to ask its version.
    write_line(script.source_template % script.source_vars())
    return 0

"""A group of commands, one module each, of which only the one that is named is imported."""

import importlib
from collections.abc import Sequence
from typing import Any

import click

#: A summary is one sentence, of any length.
_ALL = 10_000


class Summaries(click.Group):
    """A group whose help has every command's first sentence whole, over as many lines as it needs."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, which ends summaries that fill a line in dots."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_ALL)) for name, command in found if command and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class Commands(Summaries):
    """Loads a command's module only when the command is named, or the group's help is asked for.

    Args:
        package: of the modules; a command `hard-case` is the function `hard_case` of the module `hard_case`, and one
            that is called like a word of Python has an underscore behind: `import_`.
        names: of the commands, in the order of the help.
        **arguments: of click's group.
    """

    def __init__(self, *, package: str, names: Sequence[str], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.package, self.names = package, names

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of `names`."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in self.names:
            return None
        module = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"{self.package}.{module}"), module)
        return command

"""A group of commands, one module each, of which only the one that is named is imported."""

import importlib
from collections.abc import Sequence
from typing import Any

import click


class Commands(click.Group):
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

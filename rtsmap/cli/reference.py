"""`docs/cli.md`, generated from the commands themselves: python -m rtsmap.cli.reference > docs/cli.md."""

from collections.abc import Iterator

import click

from rtsmap.cli import rtsmap

HEAD = """# Command line

Generated from the code by `make docs`; do not edit.

Exit codes: 0 done (no slump is done), 1 failure, 2 bad input or usage, 3 some scenes failed, 75 interrupted (run the
same command again). A failure is one line; with `RTSMAP_DEBUG=1` in the environment it comes after a traceback. Results
go to standard output, progress and messages to standard error.
"""


def reference() -> str:
    """The help of every command, as Markdown."""
    sections = (f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in _helps(rtsmap, "rtsmap", None))
    return "\n".join((HEAD, *sections))


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100)
    context.help_option_names = ["-h", "--help"]
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            if (found := command.get_command(context, child)) is not None:
                yield from _helps(found, child, context)


if __name__ == "__main__":
    click.echo(reference(), nl=False)

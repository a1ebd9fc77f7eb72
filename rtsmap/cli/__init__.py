"""The command line. Each command has a file; it parses options, calls the library and prints.

These files do not import numpy, rasterio or torch at the top but inside the commands, so that `--help` responds at
once.
"""

import sys

import click

from rtsmap import __version__
from rtsmap.cli.commands import Commands
from rtsmap.cli.streams import StandardStreams
from rtsmap.errors import InterruptedRunError, OutputError
from rtsmap.interrupts import handling_signals, say_interrupted
from rtsmap.runtime.failures import explained, in_one_line, story

#: Command to module; the order is that of `rtsmap --help`.
COMMANDS = ("demo", "predict", "track", "models", "export", "simulate", "doctor", "dataset", "train", "evaluate")


@click.group(
    cls=Commands,
    package="rtsmap.cli",
    names=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="rtsmap")
def rtsmap() -> None:
    """Map retrogressive thaw slumps from satellite scenes.

    \b
    Start here:
      rtsmap demo                                   map an example scene in a minute
      rtsmap predict scene.tif -o slumps.gpkg       map your own scene
    """


def main() -> None:
    """Run the command line; a failure prints one line and ends with one of the exit codes below.

    0 done, 1 failure, 2 bad input or usage, 3 some scenes failed, 75 interrupted (run it again). With `RTSMAP_DEBUG=1`
    in the environment the line comes after a traceback.
    """
    with handling_signals(), StandardStreams() as streams:
        code = _run()
        if (failure := streams.failure) is not None:
            click.echo(f"rtsmap: standard output cannot be written ({failure.strerror}); files are complete", err=True)
            code = code or OutputError.exit_code
    sys.exit(code)


def _run() -> int:
    try:
        code = rtsmap.main(standalone_mode=False, prog_name="rtsmap")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say_interrupted()
        return InterruptedRunError.exit_code
    except Exception as error:  # the last resort, for errors that no other code handles
        failure = explained(error)
        click.echo(f"{story(error)}rtsmap: {in_one_line(str(failure))}", err=True)
        return failure.exit_code
    return code if isinstance(code, int) else 0

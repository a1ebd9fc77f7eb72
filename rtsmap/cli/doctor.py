"""`rtsmap doctor`."""

import sys

import click


@click.command()
def doctor() -> None:
    """Report the versions of packages, the GPU, the runtimes and the drivers, and what to fix.

    \b
    Example:
      rtsmap doctor
    """
    from rtsmap.doctor import examine

    to_fix = 0
    for finding in examine():
        mark = "fix" if finding.advice else "ok "
        click.echo(f"{mark}  {finding.topic:<12} {finding.found}")
        if finding.advice:
            to_fix += 1
            click.echo(f"     {'':<12} -> {finding.advice}")
    click.echo("All is well." if not to_fix else f"Number of problems: {to_fix}.", err=True)
    sys.exit(1 if to_fix else 0)

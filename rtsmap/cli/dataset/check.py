"""`rtsmap dataset check`."""

from pathlib import Path

import click

from rtsmap.cli import options


@click.command()
@click.argument("folder", metavar="DATASET", type=options.input_path)
@click.option(
    "--gap-m",
    type=options.not_negative,
    default=1000.0,
    show_default=True,
    help="Images of different folds that are nearer, in metres, are an error.",
)
def check(folder: Path, gap_m: float) -> None:
    """Look for what would spoil training or its scores: broken files, misplaced labels, folds that share ground.

    Prints one line for each finding: an error must be mended (exit code 2), a warning looked at, and an info known.

    \b
    Example:
      rtsmap dataset check dataset
    """
    from rtsmap.dataset.checking import check_dataset
    from rtsmap.dataset.findings import summary
    from rtsmap.errors import DatasetError

    findings = []
    for finding in check_dataset(folder, gap_m):
        click.echo(str(finding))
        findings.append(finding)
    click.echo(f"{folder}: {summary(findings)}", err=True)
    if any(finding.severity == "error" for finding in findings):
        raise DatasetError(f"{folder}: cannot be trained on as it is; mend the errors above and check again")

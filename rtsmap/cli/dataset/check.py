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
    help="Least distance between images of different folds, in metres; smaller ones are errors.",
)
def check(folder: Path, gap_m: float) -> None:
    """Check a data set for broken files, misplaced labels and folds that share ground, which spoil training or scores.

    The command prints one line for each finding. An error must be corrected (exit code 2), a warning should be checked,
    and an info is only worth knowing.

    \b
    Examples:
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
        raise DatasetError(f"{folder}: cannot be used for training as it is; correct the errors above and check again")

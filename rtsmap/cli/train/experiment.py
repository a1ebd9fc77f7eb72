"""`rtsmap train experiment`."""

from pathlib import Path

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import progress_bar, set_, settings_of

TABLES = ("table1", "table2", "table3", "table4", "table5")


@click.command()
@click.argument("table", type=click.Choice(TABLES))
@click.argument("dataset", type=options.input_path)
@click.option("-o", "--output", type=options.output_folder, required=True, help="Folder for all models and tables.")
@click.option(
    "--test",
    multiple=True,
    metavar="SITE|FOLD",
    help="Leave this site or fold out and score on it; repeatable.  [default: all folds]",
)
@click.option("--row", multiple=True, metavar="TEXT", help="Only rows whose name contains TEXT; repeatable.")
@click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Publish the weights that score best on one more fold, which is left out of the training, or the last ones.",
)
@click.option(
    "--decoder",
    type=click.Choice(["warm", "cold"]),
    default="warm",
    show_default=True,
    help="How second stages start; see rtsmap train fusion.",
)
@click.option("--resnet50-from", metavar="FILE|DIR", help="Checkpoint that the ResNet50 of table1 starts from.")
@click.option("--config", type=options.input_path, help="TOML file with settings; see rtsmap train template.")
@options.network
@set_
@options.device
@click.option("--dry-run", is_flag=True, help="List the trainings without running them.")
def experiment(
    table: str,
    dataset: Path,
    output: Path,
    test: tuple[str, ...],
    row: tuple[str, ...],
    weights: str,
    decoder: str,
    resnet50_from: str | None,
    config: Path | None,
    network: str | None,
    changes: tuple[str, ...],
    device: str,
    dry_run: bool,
) -> None:
    """Train and score all networks of a table of Li et al. 2025 on DATASET, and print both results side by side.

    \b
    table1   decoders and backbones, for single modalities
    table2   one, two and three modalities, without and with a first stage; sizes and memory
    table3   fusions of RGB and NDVI, and of RGB, NDVI and NIR, compared with RGB alone
    table4   the residual fusions among them
    table5   fusions of RGB and elevation for boxes only; of RGB and NDVI if DATASET has no elevation

    Each network is trained once without each fold and scored on that fold; the scores are those of all folds together.
    Tables share their models in OUTPUT. If there are three or more folds, the fold after the tested one decides which
    weights are published. If a run was stopped, the same command continues it.

    \b
    Example:
      rtsmap dataset split dataset --by site --folds 4
      rtsmap train experiment table4 dataset -o runs/paper --network mvitv2-t --set epochs=12
      rtsmap train experiment table1 dataset -o runs/paper --resnet50-from R-50.pkl --test fold-0 --dry-run
    """
    from rtsmap.dataset import read_dataset
    from rtsmap.errors import INSTALL_TORCH, DatasetError, ModelError

    try:
        from rtsmap.training.experiments import Trainings, cells_for, jobs, run_experiment, table_of
    except ImportError as error:
        raise ModelError(f"training needs torch and detectron2 ({error}); {INSTALL_TORCH}") from error
    settings = settings_of(config, network, changes)
    data = read_dataset(dataset)
    folds = test or tuple(sorted(set(data.folds.values())))
    if not folds:
        raise DatasetError(f"{dataset}: has no folds; make some with rtsmap dataset split, or name sites with --test")
    wanted = cells_for(table, settings.network, data, row)
    if dry_run:
        for job in jobs(wanted, folds):
            click.echo(f"{job.recipe.name} without {job.fold}")
        return
    starts = {"resnet50": resnet50_from} if resnet50_from else {}
    trainings = Trainings(settings, decoder == "cold", starts, device, validated=weights == "best")
    done = []
    with progress_bar() as (announce, progress):
        for scored in run_experiment(
            wanted, output / table, data, trainings, folds, announce=announce, progress=progress
        ):
            done.append(scored)
            announce(f"{scored.cell.row}, {scored.cell.column}: AP50 {scored.ap50:.1f} % (paper {scored.cell.paper} %)")
    click.echo(table_of(done))

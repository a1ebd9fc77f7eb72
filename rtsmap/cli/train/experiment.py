"""`rtsmap train experiment`."""

from pathlib import Path

import click

from rtsmap.cli import options
from rtsmap.cli.train.running import bar_of, set_, settings_of

TABLES = ("table1", "table2", "table3", "table4", "table5")


@click.command()
@click.argument("table", type=click.Choice(TABLES))
@click.argument("dataset", type=options.input_path)
@click.option("-o", "--output", type=options.output_folder, required=True, help="Of all models.")
@click.option(
    "--test", multiple=True, metavar="SITE|FOLD", help="Leave it out and score on it; repeatable.  [default: all folds]"
)
@click.option("--row", multiple=True, metavar="TEXT", help="Only rows with this in their name; repeatable.")
@click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Publish the best ones on one more fold, which is not learned from either, or the last ones.",
)
@click.option(
    "--decoder",
    type=click.Choice(["warm", "cold"]),
    default="warm",
    show_default=True,
    help="Of second stages; see rtsmap train fusion.",
)
@click.option("--resnet50-from", metavar="FILE|DIR", help="Checkpoint that table1's ResNet50 starts from.")
@click.option("--config", type=options.input_path, help="Settings in TOML; see rtsmap train template.")
@options.network
@set_
@options.device
@click.option("--dry-run", is_flag=True, help="List the trainings, and stop.")
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
    """Train and score on DATASET all networks of a table of Li et al. 2025; ours stand beside theirs.

    \b
    table1   decoders and backbones, for each modality alone
    table2   one, two and three modalities, without and with a first stage; sizes and memory
    table3   fusions of RGB and NDVI, and of these and NIR, beside RGB alone
    table4   the residual ones among them
    table5   fusions of RGB and elevation where only boxes are found; of RGB and NDVI if DATASET has no elevation

    Every network is trained once without each fold and scored on it; scores are of all folds together. Models in OUTPUT
    are shared by the tables. Which weights are published a further fold decides, the next after the tested one, where
    there are three or more. A run that was stopped goes on when the same command is given again.

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
    with bar_of() as (announce, progress):
        for scored in run_experiment(
            wanted, output / table, data, trainings, folds, announce=announce, progress=progress
        ):
            done.append(scored)
            announce(f"{scored.cell.row}, {scored.cell.column}: AP50 {scored.ap50:.1f} % (paper {scored.cell.paper} %)")
    click.echo(table_of(done))

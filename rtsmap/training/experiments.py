"""The tables of Li et al. 2025 on any data set: each network is scored on images that it was not trained on."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtsmap.dataset.images import Dataset
from rtsmap.detector import build_detector
from rtsmap.errors import DatasetError, InputError
from rtsmap.evaluation.image_scores import score_images
from rtsmap.evaluation.predictions import LOWEST_SCORE, predict_images, read_all, write_predictions
from rtsmap.files.writing import replacing
from rtsmap.models import CARD
from rtsmap.network.cascade import count_parameters
from rtsmap.network.cost import meta_network, training_memory
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.loop import Progress, train
from rtsmap.training.paper import Cell, Recipe, cells

DETECTIONS = "detections.json"


@dataclass(frozen=True)
class Scored:
    """The result of a cell of a table, and the size of its network.

    Attributes:
        cell: the cell.
        ap50, low, high: AP50 and its 95 % interval, per cent.
        slumps, images: numbers of slumps and images that were scored.
        parameters, trainable: numbers of all weights and of those that are trained.
        memory_mb: memory of weights, gradients and the activations that one chip keeps for the backward pass, MB;
            without the state of the optimiser, as in the paper.
    """

    cell: Cell
    ap50: float
    low: float
    high: float
    slumps: int
    images: int
    parameters: int
    trainable: int
    memory_mb: float


@dataclass(frozen=True)
class Job:
    """One training: a network trained without one fold, on which it is then scored."""

    recipe: Recipe
    fold: str


@dataclass(frozen=True)
class Trainings:
    """How the networks of a table are trained.

    Attributes:
        settings: settings of every training, with the sizes of the network.
        cold: see `Recipe.settings`.
        starts: see `Recipe.settings`.
        device: see `train`.
        validated: publish the weights that are best on one more fold, see `validation_fold`; otherwise the last ones.
    """

    settings: TrainConfig
    cold: bool = False
    starts: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    validated: bool = True


def jobs(table: Sequence[Cell], folds: Sequence[str]) -> list[Job]:
    """Return all trainings of a table, each once, in an order in which each comes after those that it needs."""
    found: dict[Job, None] = {}
    for cell in table:
        for fold in folds:
            for recipe in (*cell.model.backbones, cell.model):
                found.setdefault(Job(recipe, fold))
    return list(found)


def cells_for(name: str, network: NetworkConfig, dataset: Dataset, rows: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of a table for which a data set has the bands.

    Args:
        name: name of the table, see `paper.cells`.
        network: sizes of the network, see `paper.cells`.
        dataset: the data set.
        rows: parts of the names of the rows that are wanted; empty for all rows.

    Raises:
        InputError: no cell is left.
    """
    table = cells(name, network, dataset.modalities)
    wanted = [cell for cell in table if not rows or any(row.lower() in cell.row.lower() for row in rows)]
    if not wanted:
        known = "; ".join(dict.fromkeys(cell.row for cell in table))
        raise InputError(f"{', '.join(rows)}: is not a row of {name}; the rows are: {known}")
    if possible := [cell for cell in wanted if set(cell.model.modalities) <= set(dataset.modalities)]:
        return possible
    raise InputError(f"{dataset.folder}: its images have no bands for {name}, only for {', '.join(dataset.modalities)}")


def validation_fold(dataset: Dataset, tested: str) -> str | None:
    """Return the fold whose AP50 chooses the weights, which is never the tested fold.

    It is the next fold in order that has a slump and shares no image with the tested one; if a site is tested, it is
    the next site.

    Returns:
        The name of the fold or site; None if no images with slumps would be left to train on.
    """
    names = sorted(set(dataset.folds.values())) if tested in dataset.folds.values() else list(dataset.sites)
    index = names.index(tested)
    learned = dataset.without([tested])
    for name in (*names[index + 1 :], *names[:index]):
        held, rest = learned.subset([name]), learned.without([name])
        if held.slumps and rest.slumps:
            return name
    return None


def run_experiment(
    table: Sequence[Cell],
    path: Path,
    dataset: Dataset,
    trainings: Trainings,
    folds: Sequence[str],
    *,
    announce: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Scored]:
    """Train and score the networks of a table of the paper, each once without each fold, and scored on that fold.

    Finished trainings are not repeated, and stopped ones are continued. The table is rewritten after each cell.

    Args:
        table: the cells, see `cells_for`.
        path: path of the table without suffix; next to it each network has a folder with models and detections.
        dataset: all images.
        trainings: how the networks are trained.
        folds: folds or sites that are left out one after the other; the scores are those of all of them together.
        announce: called with a line of text before each training.
        progress: see `train`.

    Yields:
        The results of the cells.

    Raises:
        DatasetError: a fold has no slump, or two folds share an image.
    """
    folder = path.parent
    tested = _tested(dataset, folds)
    todo = jobs(table, folds)
    done: list[Scored] = []
    for cell in table:
        for job in jobs([cell], folds):
            announce(f"{todo.index(job) + 1} of {len(todo)}: {job.recipe.name} without {job.fold}")
            _work(job, dataset, trainings, folder, progress)
        done.append(_score(cell, tested, trainings.settings, folder, folds))
        write_table(path, done)
        yield done[-1]


def _tested(dataset: Dataset, folds: Sequence[str]) -> Dataset:
    """Return the images of all folds."""
    parts = [dataset.subset([fold]) for fold in folds]
    for fold, part in zip(folds, parts, strict=True):
        if not part.slumps:
            raise DatasetError(f"{dataset.folder}: {fold} has no slump to score; split it otherwise or leave it out")
    names = [image.name for part in parts for image in part.images]
    if len(set(names)) < len(names):
        raise DatasetError(f"{dataset.folder}: {', '.join(folds)} share images; give folds or sites, not both")
    return dataset.subset(folds)


def _home(folder: Path, job: Job) -> Path:
    return folder / job.recipe.name / job.fold


def _work(job: Job, dataset: Dataset, trainings: Trainings, folder: Path, progress: Callable[[Progress], None]) -> None:
    home = _home(folder, job)
    if (home / DETECTIONS).exists():
        return
    backbones = [str(_home(folder, Job(recipe, job.fold))) for recipe in job.recipe.backbones]
    if not (home / CARD).exists():
        chosen = job.recipe.settings(trainings.settings, backbones, cold=trainings.cold, starts=trainings.starts)
        held = validation_fold(dataset, job.fold) if trainings.validated else None
        learned = dataset.without([job.fold])
        train(
            learned.without([held]) if held else learned,
            chosen,
            home,
            validation=learned.subset([held]) if held else None,
            device=trainings.device,
            progress=progress,
        )
    card = ModelCard.from_toml(home / CARD)
    test = dataset.subset([job.fold])
    found = predict_images(test, card, build_detector(home, card, trainings.device, min_score=LOWEST_SCORE))
    write_predictions(home / DETECTIONS, test, found)


def _score(cell: Cell, tested: Dataset, settings: TrainConfig, folder: Path, folds: Sequence[str]) -> Scored:
    found = read_all([_home(folder, Job(cell.model, fold)) / DETECTIONS for fold in folds], tested)
    score = score_images(tested, found).overall
    network = meta_network(cell.model.network, cell.model.modalities, frozen=cell.model.freeze)
    memory = training_memory(network, settings.training_chip_size)
    return Scored(
        cell=cell,
        ap50=score.average_precision * 100,
        low=score.interval[0] * 100,
        high=score.interval[1] * 100,
        slumps=score.labels,
        images=len(tested.images),
        parameters=count_parameters(network),
        trainable=count_parameters(network, trainable=True),
        memory_mb=(memory.total - memory.moments) / 1e6,
    )


def write_table(path: Path, scored: Sequence[Scored]) -> None:
    """Write the results as `path`.csv, and as a Markdown table to `path`.md."""
    header = ("row", "column", "paper_ap50", "ap50", "low", "high", "slumps", "images", "parameters", "trainable")
    memory = ("memory_mb", "paper_memory_mb")
    with replacing(path.with_suffix(".csv")) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*header, *memory))
        for one in scored:
            figures = (one.cell.paper, one.ap50, one.low, one.high)
            counts = (one.slumps, one.images, one.parameters, one.trainable, round(one.memory_mb), one.cell.paper_mb)
            writer.writerow((one.cell.row, one.cell.column, *(round(value, 2) for value in figures), *counts))
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(table_of(scored) + "\n", encoding="utf-8")


def table_of(scored: Sequence[Scored]) -> str:
    """Return the results as a Markdown table, beside those of the paper."""
    lines = [
        "| | | AP50 %: paper | ours (95 %) | weights, M | of them learn | memory, MB: paper | ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in scored:
        interval = "" if math.isnan(one.low) else f" ({one.low:.1f} to {one.high:.1f})"
        held = f"{one.cell.paper_mb or ''} | {one.memory_mb:.0f}"
        lines.append(
            f"| {one.cell.row} | {one.cell.column} | {one.cell.paper:.2f} | {one.ap50:.1f}{interval} "
            f"| {one.parameters / 1e6:.2f} | {one.trainable / 1e6:.2f} | {held} |"
        )
    if scored:
        lines += ["", f"Ours: {scored[0].images} images with {scored[0].slumps} slumps, none seen in training."]
    return "\n".join(lines)

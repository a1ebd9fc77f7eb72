"""The paper's tables on a data set of one's own: every network trained and scored on images that it never saw."""

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
from rtsmap.network.counting import meta_network, training_memory
from rtsmap.settings.card import ModelCard
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.loop import Progress, train
from rtsmap.training.paper import Cell, Recipe, cells

DETECTIONS = "detections.json"


@dataclass(frozen=True)
class Scored:
    """A cell of a table, done: AP50 in per cent with its 95 % interval, over so many slumps; and the network's size.

    Attributes:
        cell: which.
        ap50, low, high: per cent.
        slumps, images: scored.
        parameters, trainable: numbers of weights.
        memory_mb: of weights, gradients and what one chip keeps for the backward pass; without the optimiser's state,
            as the paper counts.
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
    """One training: a network without one fold, to score it there."""

    recipe: Recipe
    fold: str


@dataclass(frozen=True)
class Trainings:
    """How the networks of a table are trained.

    Attributes:
        settings: of every training; its network gives the sizes.
        cold: see `Recipe.settings`, as `starts`.
        starts: likewise.
        device: see `train`.
        validated: publish the weights that are best on one more fold, see `validation_fold`; else the last.
    """

    settings: TrainConfig
    cold: bool = False
    starts: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    validated: bool = True


def jobs(table: Sequence[Cell], folds: Sequence[str]) -> list[Job]:
    """All trainings of a table, each once, those first that others need."""
    found: dict[Job, None] = {}
    for cell in table:
        for fold in folds:
            for recipe in (*cell.model.backbones, cell.model):
                found.setdefault(Job(recipe, fold))
    return list(found)


def cells_for(name: str, network: NetworkConfig, dataset: Dataset, rows: Sequence[str] = ()) -> list[Cell]:
    """The cells of a table that a data set has the bands for.

    Args:
        name: see `paper.cells`.
        network: likewise.
        dataset: that is to be used.
        rows: parts of the names of rows that are wanted; all without them.

    Raises:
        InputError: nothing is left.
    """
    table = cells(name, network, dataset.modalities)
    wanted = [cell for cell in table if not rows or any(row.lower() in cell.row.lower() for row in rows)]
    if not wanted:
        known = "; ".join(dict.fromkeys(cell.row for cell in table))
        raise InputError(f"{', '.join(rows)}: is no row of {name}; it has: {known}")
    if possible := [cell for cell in wanted if set(cell.model.modalities) <= set(dataset.modalities)]:
        return possible
    raise InputError(f"{dataset.folder}: its images have no bands for {name}, only for {', '.join(dataset.modalities)}")


def validation_fold(dataset: Dataset, tested: str) -> str | None:
    """The fold, inside those that are not tested, whose AP50 chooses the weights; never the tested one.

    It is the next one in order that has a slump and shares no image with the tested one: of the folds where a fold is
    tested, of the sites where a site is.

    Returns:
        Its name; None where nothing would be left to learn from.
    """
    names = sorted(set(dataset.folds.values())) if tested in dataset.folds.values() else list(dataset.sites)
    place = names.index(tested)
    learned = dataset.without([tested])
    for name in (*names[place + 1 :], *names[:place]):
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
    """Train and score what a table of the paper holds; each network once without each fold, and scored on that fold.

    What is done already is not repeated, and what was stopped goes on. The table is written anew after every cell.

    Args:
        table: what is wanted, see `cells_for`.
        path: of the table, without suffix; beside it lies a folder of models and detections for each network.
        dataset: all images.
        trainings: how they are trained.
        folds: folds or sites that are left out, one after the other, and pooled for the scores.
        announce: called with a line before each training.
        progress: see `train`.

    Yields:
        The cells of the table as they are done.

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
    """The images of all folds."""
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
    """Write the cells that are done as `path`.csv and as a Markdown table, `path`.md."""
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
    """The cells that are done as a Markdown table, ours beside the paper's."""
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

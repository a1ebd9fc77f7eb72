"""Scores of all predictions and of groups of them (sites, regions, sizes), and the files that hold them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtsmap.evaluation.matching import Bools, Comparison, Floats
from rtsmap.evaluation.precision import RESAMPLES, Curve, Score, precision_recall, score_of
from rtsmap.files import replacing

#: Size classes in m2 on the ground, from the lower limit on and below the upper one. 2000 m2 is 15 x 15 px of
#: PlanetScope and near the lower quartile of published slumps (2500 m2); 10 000 m2 is above their median (6600 m2).
SIZES = {"small": (0.0, 2000.0), "medium": (2000.0, 10_000.0), "large": (10_000.0, np.inf)}

_FIELDS = (
    *(
        "kind",
        "group",
        "images",
        "labels",
        "predictions",
        "matched",
        "precision",
        "recall",
        "f1",
        "threshold",
        "min_iou",
    ),
    *("average_precision", "interval_low", "interval_high", "mean_average_precision", "average_recall"),
)


@dataclass(frozen=True)
class Group:
    """Some of the labels, and the predictions that are wrong there where they find nothing.

    Attributes:
        kind: such as `site` or `size`.
        name: of the group.
        labels: `(m,)`, those of the group.
        predictions: `(n,)`, likewise.
        images: how many; None for a map.
    """

    kind: str
    name: str
    labels: Bools
    predictions: Bools
    images: int | None = None


@dataclass(frozen=True)
class Row:
    """The score of a group; of all for the first row of a report."""

    kind: str
    name: str
    images: int | None
    score: Score


@dataclass(frozen=True)
class Report:
    """How good predictions are, all together and by group.

    Attributes:
        rows: all, then the groups.
        curve: of all, at the first row's `min_iou`.
        drawn: what the bootstrap draws, such as `12 scenes`.
    """

    rows: tuple[Row, ...]
    curve: Curve
    drawn: str

    @property
    def overall(self) -> Score:
        """The score of all."""
        return self.rows[0].score

    @property
    def average_precision(self) -> float:
        """AP50 of all, 0..1, where `min_iou` is 0.5; NaN without labels."""
        return self.overall.average_precision


def report_of(
    comparison: Comparison,
    groups: Sequence[Group],
    *,
    threshold: float,
    images: int | None = None,
    drawn: str = "",
    min_iou: float = 0.5,
    resamples: int = RESAMPLES,
    over_ious: bool = True,
) -> Report:
    """Score all predictions and each group; for the numbers see `score_of`.

    Args:
        comparison: of predictions and labels.
        groups: besides all; `by_size` gives the size classes.
        threshold: of precision, recall and F1.
        images: how many; None for a map.
        drawn: what the bootstrap draws.
        min_iou: what counts as found.
        resamples: draws of the bootstrap; 0: no intervals.
        over_ious: false leaves out the means over IoU.
    """

    def scored(labels: Bools | None, predictions: Bools | None) -> Score:
        return score_of(
            comparison,
            labels=labels,
            predictions=predictions,
            min_iou=min_iou,
            threshold=threshold,
            resamples=resamples,
            over_ious=over_ious,
        )

    rows = [Row("all", "all", images, scored(None, None))]
    rows += [Row(one.kind, one.name, one.images, scored(one.labels, one.predictions)) for one in groups]
    return Report(tuple(rows), precision_recall(comparison.scores, comparison.match(min_iou)), drawn)


def by_size(comparison: Comparison) -> Iterator[Group]:
    """The size classes, as COCO has them: what finds no label counts in the class of its own area."""
    for name, (low, high) in SIZES.items():
        labels, predictions = comparison.label_m2, comparison.prediction_m2
        yield Group("size", name, _within(labels, low, high), _within(predictions, low, high))


def _within(area: Floats, low: float, high: float) -> Bools:
    return (area >= low) & (area < high)


def headline(report: Report) -> list[str]:
    """The scores of all, a line each, in percent."""
    score = report.overall
    low, high = (value * 100 for value in score.interval)
    found, wanted = f"{score.matched} of {score.labels} labels", f"{score.matched} of {score.predictions} polygons"
    return [
        f"AP{score.min_iou * 100:<9.0f}{_percent(score.average_precision)}"
        f" (95 % interval {low:.1f} to {high:.1f}, from {report.drawn})",
        f"AP         {_percent(score.mean_average_precision)} (mean over IoU 0.50 to 0.95)",
        f"AR         {_percent(score.average_recall)} (mean over IoU 0.50 to 0.95)",
        f"from score {score.threshold:g} on:",
        f"recall     {_percent(score.recall)} ({found})",
        f"precision  {_percent(score.precision)} ({wanted})",
        f"F1         {_percent(score.f1)}",
    ]


def table(report: Report) -> list[str]:
    """A line for each group."""
    if len(report.rows) == 1:
        return []
    width = max(len(row.name) for row in report.rows) + 2
    iou = f"AP{report.overall.min_iou * 100:.0f} %"
    head = f"{'images':>8}{'slumps':>8}{'found':>7}{'wrong':>7}{'recall %':>10}{'precision %':>13}{'F1 %':>7}{iou:>8}"
    lines = [f"{'':<{width}}{head}{'95 %':>16}"]
    for row in report.rows:
        score = row.score
        low, high = (f"{value * 100:.1f}" for value in score.interval)
        lines.append(
            f"{row.name:<{width}}{'' if row.images is None else row.images:>8}{score.labels:>8}{score.matched:>7}"
            f"{score.predictions - score.matched:>7}{score.recall * 100:>10.1f}{score.precision * 100:>13.1f}"
            f"{score.f1 * 100:>7.1f}{score.average_precision * 100:>8.1f}{f'{low} to {high}':>16}"
        )
    return lines


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def write_report(folder: Path, report: Report, title: str) -> None:
    """Write scores.csv (a row for each group), precision_recall.csv and precision_recall.png into an existing folder.

    Raises:
        OutputError: a file cannot be written.
    """
    curve = report.curve
    _write_csv(folder / "scores.csv", _FIELDS, (_cells(row) for row in report.rows))
    points = zip(curve.scores.tolist(), curve.precision.tolist(), curve.recall.tolist(), strict=True)
    _write_csv(folder / "precision_recall.csv", ("score", "precision", "recall"), points)
    _draw(folder / "precision_recall.png", report, title)


def _cells(row: Row) -> list[object]:
    score = row.score
    numbers = {name: getattr(score, name) for name in _FIELDS[3:] if not name.startswith("interval")}
    numbers |= dict(zip(("interval_low", "interval_high"), score.interval, strict=True))
    rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in numbers.items()}
    return [row.kind, row.name, row.images, *(rounded[name] for name in _FIELDS[3:])]


def _write_csv(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _draw(path: Path, report: Report, title: str) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import, and only needed here)

    curve, score = report.curve, report.overall
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.step(curve.recall, curve.precision, where="post", color="tab:blue")
    if score.predictions:
        axes.plot(score.recall, score.precision, "o", color="tab:red", label=f"from score {score.threshold:g} on")
        axes.legend(loc="upper right")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title(f"{title}\nAP{score.min_iou * 100:.0f} {_percent(score.average_precision)}", fontsize=10)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)

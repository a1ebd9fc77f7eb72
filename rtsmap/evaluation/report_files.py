"""Writing the files of a report."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rtsmap.evaluation.report import Report, Row
from rtsmap.evaluation.report_text import markdown
from rtsmap.figures import drawing
from rtsmap.files.writing import replacing_together

_OF_SCORE = (
    *("labels", "predictions", "matched", "precision", "recall", "f1", "threshold", "min_iou"),
    *("average_precision", "mean_average_precision", "average_recall"),
)
_FIELDS = (
    *("kind", "group", "images", *_OF_SCORE, "interval_low", "interval_high", "recall_low", "recall_high"),
    *("observed_km2", "false_per_100km2", "false_low", "false_high"),
)


#: Names of the files that `write_report` writes.
REPORT_FILES = ("scores.csv", "scores.md", "precision_recall.csv", "precision_recall.png")


def write_report(folder: Path, report: Report, title: str, *, overwrite: bool = True) -> None:
    """Write scores.csv and scores.md (a row for each group), precision_recall.csv and precision_recall.png.

    Args:
        folder: an existing folder.
        report: the report.
        title: title of the figure.
        overwrite: replace existing files.

    Raises:
        OutputError: a file cannot be written.
    """
    curve = report.curve
    points = zip(curve.scores.tolist(), curve.precision.tolist(), curve.recall.tolist(), strict=True)
    with replacing_together([folder / name for name in REPORT_FILES], overwrite=overwrite) as (
        table,
        page,
        points_file,
        figure,
    ):
        _write_csv(table, _FIELDS, (_cells(row) for row in report.rows))
        page.write_text("\n".join(markdown(report)) + "\n", encoding="utf-8")
        _write_csv(points_file, ("score", "precision", "recall"), points)
        _draw(figure, report, title)


def _cells(row: Row) -> list[object]:
    score, rates = row.score, row.rates
    values: list[object] = [getattr(score, name) for name in _OF_SCORE]
    values += [*score.interval, *rates.recall_interval, rates.km2, rates.false_per_100km2, *rates.false_interval]
    rounded = [round(value, 6) if isinstance(value, float) else value for value in values]
    return [row.kind, row.name, row.images, *rounded]


def _write_csv(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _draw(path: Path, report: Report, title: str) -> None:
    curve, score = report.curve, report.overall
    with drawing(path, (5, 5)) as figure:
        axes = figure.subplots()
        axes.step(curve.recall, curve.precision, where="post", color="tab:blue")
        if score.predictions:
            axes.plot(score.recall, score.precision, "o", color="tab:red", label=f"from score {score.threshold:g} on")
            axes.legend(loc="upper right")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.set_title(f"{title}\nAP{score.min_iou * 100:.0f} {score.average_precision * 100:.1f} %", fontsize=10)
        axes.grid(alpha=0.3)

"""A report as text: its headline, and a table with a row for each group."""

from math import isnan
from statistics import fmean

from rtsmap.evaluation.report import Report, Row


def headline(report: Report) -> list[str]:
    """Return the scores of all predictions in percent, one per line."""
    score, rates, name = report.overall, report.rows[0].rates, _precision_name(report)
    found, wanted = f"{score.matched} of {score.labels} labels", f"{score.matched} of {score.predictions} polygons"
    of_sites = [row.score.average_precision for row in report.sites if row.score.labels]
    lines = [
        f"{name:<11}{_percent(score.average_precision)}"
        f" (95 % interval {_range(score.interval, 100)}, from {report.drawn})",
        *([f"{'':<11}{_percent(fmean(of_sites))} (mean of {len(of_sites)} sites)"] if len(of_sites) > 1 else []),
        f"AP         {_percent(score.mean_average_precision)} (mean over IoU 0.50 to 0.95)",
        f"AR         {_percent(score.average_recall)} (mean over IoU 0.50 to 0.95)",
        f"from score {score.threshold:g} on:",
        f"recall     {_percent(score.recall)} ({found}){_interval(rates.recall_interval, 100)}",
        f"precision  {_percent(score.precision)} ({wanted})",
        f"F1         {_percent(score.f1)}",
    ]
    if rates.km2 > 0:
        false = f"{rates.false_per_100km2:.1f} per 100 km2 ({rates.false} in {rates.km2:.1f} km2 observed)"
        lines.append(f"false      {false}{_interval(rates.false_interval)}")
    return lines


def table(report: Report) -> list[str]:
    """Return a table with a line for each group, in columns of fixed width; empty without groups."""
    if len(report.rows) == 1:
        return []
    rows = _cells(report)
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return ["".join(map(_padded, range(len(row)), row, widths)) for row in rows]


def markdown(report: Report) -> list[str]:
    """Return the same table in Markdown, for the description of a model."""
    head, *rows = _cells(report)
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _cells(report: Report) -> list[list[str]]:
    """Return header and rows, without columns that are empty in all rows, such as the images of a map."""
    head = ["", "images", "slumps", "found", "wrong", "recall %", "95 %", "precision %", "F1 %"]
    head += [f"{_precision_name(report)} %", "95 %", "km2", "false per 100 km2", "95 %"]
    columns = zip(head, *(_row(row) for row in report.rows), strict=True)
    return [list(row) for row in zip(*(column for column in columns if any(column[1:])), strict=True)]


def _row(row: Row) -> list[str]:
    score, rates = row.score, row.rates
    return [
        row.name,
        "" if row.images is None else str(row.images),
        str(score.labels),
        str(score.matched),
        str(score.predictions - score.matched),
        f"{score.recall * 100:.1f}",
        _range(rates.recall_interval, 100),
        f"{score.precision * 100:.1f}",
        f"{score.f1 * 100:.1f}",
        f"{score.average_precision * 100:.1f}",
        _range(score.interval, 100),
        _number(rates.km2),
        _number(rates.false_per_100km2),
        _range(rates.false_interval),
    ]


def _padded(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _precision_name(report: Report) -> str:
    return f"AP{report.overall.min_iou * 100:.0f}"


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _number(value: float) -> str:
    return "" if isnan(value) else f"{value:.1f}"


def _range(interval: tuple[float, float], factor: float = 1) -> str:
    """Format an interval as `3.1 to 11.2`; empty where it is not known."""
    low, high = interval
    return "" if isnan(low) else f"{low * factor:.1f} to {high * factor:.1f}"


def _interval(interval: tuple[float, float], factor: float = 1) -> str:
    return f", 95 % interval {text}" if (text := _range(interval, factor)) else ""

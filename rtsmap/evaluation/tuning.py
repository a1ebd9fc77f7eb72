"""Tuning the score threshold and the smallest area of a model to labelled data."""

import os
from dataclasses import dataclass
from pathlib import Path

from rtsmap.errors import InputError, ModelError
from rtsmap.evaluation.matching import Comparison
from rtsmap.evaluation.precision import best_threshold
from rtsmap.models import CARD
from rtsmap.settings.card import ModelCard

#: Candidates of the smallest area, up to about 45 x 45 m. They are few, as a finer choice would overfit the sample.
MIN_AREAS_M2 = (0.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)


@dataclass(frozen=True)
class Tuned:
    """The score threshold and the smallest area (m2) of the highest F1 (0..1), and that F1."""

    score_threshold: float
    min_area_m2: float
    f1: float


def tune(comparison: Comparison, min_iou: float = 0.5) -> Tuned:
    """Find the best of all thresholds in hundredths and of `MIN_AREAS_M2`; the smallest area of equally good ones.

    Raises:
        InputError: no prediction matches a label, so that no threshold is better than another.
    """
    tried = []
    for area in MIN_AREAS_M2:
        kept = comparison.where(comparison.prediction_m2 >= area)
        threshold, f1 = best_threshold(kept.scores, kept.match(min_iou))
        tried.append(Tuned(threshold, area, f1))
    best = max(tried, key=lambda one: one.f1)
    if not best.f1:
        raise InputError("--tune: no prediction matches a label, so there is no best threshold; the card is unchanged")
    return best


def check_tunable(folder: Path) -> None:
    """Check, before any work is done, that the card of a model can be changed.

    Raises:
        ModelError: the folder is read-only, such as that of a model that is installed with rtsmap.
    """
    if not os.access(folder, os.W_OK) or not os.access(folder / CARD, os.W_OK):
        raise ModelError(f"{folder / CARD}: cannot be changed; copy the folder and give the copy with --model")


def write_tuned(folder: Path, card: ModelCard, tuned: Tuned) -> None:
    """Write threshold and smallest area to the card of a model, completely or not at all.

    Raises:
        OutputError: the card cannot be written.
    """
    update = {"score_threshold": tuned.score_threshold, "min_area_m2": tuned.min_area_m2}
    card.model_copy(update=update).to_toml(folder / CARD)

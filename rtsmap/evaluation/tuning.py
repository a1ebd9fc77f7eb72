"""The threshold and the smallest area with which a model does best on labelled data."""

import os
from dataclasses import dataclass
from pathlib import Path

from rtsmap.errors import InputError, ModelError
from rtsmap.evaluation.matching import Comparison
from rtsmap.evaluation.precision import best_threshold
from rtsmap.models import CARD
from rtsmap.settings.card import ModelCard

#: Few, for every choice among more follows the sample more closely: from two pixels square to 47 x 47 m.
MIN_AREAS_M2 = (0.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)


@dataclass(frozen=True)
class Tuned:
    """Score from which on, and area (m2) from which on, predictions have the highest F1, and that F1."""

    score_threshold: float
    min_area_m2: float
    f1: float


def tune(comparison: Comparison, min_iou: float = 0.5) -> Tuned:
    """The best of all thresholds in hundredths and of `MIN_AREAS_M2`; of equals the smallest area.

    Raises:
        InputError: nothing finds a label, so that no threshold is better than another.
    """
    tried = []
    for area in MIN_AREAS_M2:
        kept = comparison.where(comparison.prediction_m2 >= area)
        threshold, f1 = best_threshold(kept.scores, kept.match(min_iou))
        tried.append(Tuned(threshold, area, f1))
    best = max(tried, key=lambda one: one.f1)
    if not best.f1:
        raise InputError("--tune: no prediction finds a label, so there is no best threshold; the card stays as it is")
    return best


def check_tunable(folder: Path) -> None:
    """Fail before any work where a model's card could not be changed.

    Raises:
        ModelError: the folder cannot be written, as that of a model that came with rtsmap.
    """
    if not os.access(folder, os.W_OK) or not os.access(folder / CARD, os.W_OK):
        raise ModelError(f"{folder / CARD}: cannot be changed; copy the folder and give the copy with --model")


def write_tuned(folder: Path, card: ModelCard, tuned: Tuned) -> None:
    """Put threshold and smallest area into a model's card, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    update = {"score_threshold": tuned.score_threshold, "min_area_m2": tuned.min_area_m2}
    card.model_copy(update=update).to_toml(folder / CARD)

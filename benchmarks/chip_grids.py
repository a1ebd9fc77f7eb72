"""How much the result depends on where the chips are cut.

    python -m benchmarks.chip_grids SCENE [--model NAME|DIR] [--score S]

Predicts a scene on the model's own chip grid and on others, and counts the slumps that have a partner of IoU 0.8 there;
the last column is the share of the other chip grid's slumps that have one here.
"""

import argparse

import numpy as np
import shapely

from rtsmap.detector import build_detector
from rtsmap.evaluation.matching import compare
from rtsmap.models import find_model
from rtsmap.predict.detector import ReadyDetector
from rtsmap.predict.options import Options
from rtsmap.predict.scene import predict_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene")
    parser.add_argument("--model", default="rts-mini")
    parser.add_argument("--score", type=float)
    parser.add_argument("--own", help="chip size and overlap to compare with, such as 256:64; the model's by default")
    parser.add_argument("--chip-grids", default="768:256,640:128,512:128", help="chip size and overlap of each")
    arguments = parser.parse_args()
    folder, card = find_model(arguments.model)
    detector = build_detector(folder, card, "cpu", min_score=0.05)

    def slumps(chip_grid: str) -> np.ndarray:
        chip_size, overlap = (int(part) for part in chip_grid.split(":"))
        options = Options(score=arguments.score, chip_size=chip_size, overlap=overlap)
        result = predict_scene(arguments.scene, ReadyDetector.of(card, detector, options))
        return np.array([one.geometry for one in result.slumps])

    first = arguments.own or f"{card.input.chip_size}:{card.input.overlap}"
    own = slumps(first)
    print(f"{'chip:overlap':>14}{'slumps':>8}{'matched':>9}{'share %':>9}{'median IoU':>12}{'of theirs %':>13}")
    print(f"{first:>14}{len(own):>8}")
    for chip_grid in arguments.chip_grids.split(","):
        other = slumps(chip_grid)
        partner = compare(own, np.ones(len(own)), other).match(0.01).label
        partners = np.flatnonzero(partner >= 0)
        a, b = own[partners], other[partner[partners]]
        iou = shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b))
        matched = int((iou >= 0.8).sum())
        shares = (matched / max(len(found), 1) * 100 for found in (own, other))
        print(
            f"{chip_grid:>14}{len(other):>8}{matched:>9}{next(shares):>9.1f}{np.median(iou):>12.3f}{next(shares):>13.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

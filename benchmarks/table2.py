"""The sizes of the networks beside those of the paper's Table 2 (Li et al. 2025).

    python -m benchmarks.table2

Architecture `mvitv2-b` with one, two and three modalities, counted from shapes (`rtsmap.network.cost`).
"""

import argparse
from dataclasses import dataclass

from rtsmap.network.cost import TrainingMemory, meta_network, training_memory
from rtsmap.settings.network import PRESETS

CHIP = 256  # px
CONSTANT_MB = 155  # that brings all five counts within 3.1 % of the paper's: what its library holds, and the like
NOTE = f"""Trainable: with frozen backbones, where there is a fusion to learn. Memory is the paper's: the peak for one
sample with the model, its forward and its backward pass, without the optimiser's state. Ours is counted for a chip of
{CHIP} px in single precision: every weight, the gradient of each that learns, and the activations kept for the backward
pass."""


@dataclass(frozen=True)
class Published:
    """A row of the paper's Table 2: weights in millions, memory in MB."""

    total: int
    trainable: int  # with frozen backbones
    memory: int
    memory_frozen: int | None


PAPER = {
    ("rgb",): Published(103, 103, 1649, None),
    ("rgb", "ndvi"): Published(170, 69, 2527, 1454),
    ("rgb", "ndvi", "nir"): Published(230, 78, 3361, 1754),
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    memory = {modalities: counted(modalities) for modalities in PAPER}
    print("| weights, M | total: paper | ours | difference | trainable: paper | ours | difference |")
    print("|---|---|---|---|---|---|---|")
    for modalities, paper in PAPER.items():
        _, chosen = memory[modalities]
        # four bytes each
        sizes = ((paper.total, chosen.weights / 4e6), (paper.trainable, chosen.gradients / 4e6))
        print(row("+".join(modalities), *(cell for pair in sizes for cell in compared(*pair))))
    print(f"\n| memory, MB | paper | ours | ours + {CONSTANT_MB} | difference | with AdamW's moments |")
    print("|---|---|---|---|---|---|")
    for modalities, paper in PAPER.items():
        name, published = "+".join(modalities), (paper.memory, paper.memory_frozen)
        for way, theirs, ours in zip(("all trained", "backbones frozen"), published, memory[modalities], strict=True):
            if theirs:
                peak = (ours.total - ours.moments) / 1e6
                _, held, difference = compared(theirs, peak + CONSTANT_MB, digits=0)
                print(row(f"{name}, {way}", theirs, f"{peak:.0f}", held, difference, f"{ours.total / 1e6:.0f}"))
    print(f"\n{NOTE}")


def counted(modalities: tuple[str, ...]) -> tuple[TrainingMemory, TrainingMemory]:
    """With all trained, and as in the paper's second stage: backbones frozen, unless there is nothing else to learn."""
    frozen = modalities if len(modalities) > 1 else ()
    ways = (meta_network(PRESETS["mvitv2-b"], modalities, frozen=way) for way in ((), frozen))
    first, second = (training_memory(network, CHIP) for network in ways)
    return first, second


def compared(paper: float, ours: float, digits: int = 2) -> tuple[str, str, str]:
    """Both figures, and the difference in percent of the paper's."""
    return f"{paper:g}", f"{ours:.{digits}f}", f"{(ours / paper - 1) * 100:+.1f} %"


def row(*cells: object) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()

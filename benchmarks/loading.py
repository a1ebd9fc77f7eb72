"""How fast training chips are made, and how long the network waits for them.

    python -m benchmarks.loading DATASET [--chip-size 512] [--steps 40]

Chips: cut, augmented and normalised, three modalities, by one process, per second of its CPU time. Waiting: share of
the time of training steps of rts-mini's network, chips made by two further processes (`workers = 2`), the first steps
left out.
"""

import argparse
import time
from pathlib import Path

from rtsmap import bands
from rtsmap.dataset import read_dataset
from rtsmap.settings.card import InputConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.batches import Examples
from rtsmap.training.loop import Progress, train
from rtsmap.training.samples import Sampler

WARM = 10  # chips; steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--chip-size", type=int, default=512)
    parser.add_argument("--chips", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model of the timed training")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.dataset)
    config = TrainConfig(training_chip_size=arguments.chip_size)
    zero, one = (dict.fromkeys(bands.channels(config.modalities), value) for value in (0.0, 1.0))
    inputs = InputConfig(**config.model_dump(include=set(InputConfig.model_fields)), mean=zero, std=one)
    examples = Examples(Sampler(dataset, config), inputs)
    for number in range(WARM):
        examples[number]
    wall, processor = time.perf_counter(), time.process_time()
    for number in range(WARM, WARM + arguments.chips):
        examples[number]
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"chips of {arguments.chip_size} px: {arguments.chips / processor:.1f} per CPU second, one process")
    print(f"{'':<18}{arguments.chips / wall:.1f} per second of the wall clock")
    seen: list[Progress] = []
    run = TrainConfig(iterations=arguments.steps, workers=2, checkpoint_every=10**6)
    start = time.perf_counter()
    train(dataset, run, arguments.output, progress=seen.append)
    print(
        f"training: {(time.perf_counter() - start) / arguments.steps:.2f} s a step in all, 4 chips of 256 px, 2 workers"
    )
    waited = seen[-1].waiting_s - seen[WARM].waiting_s
    print(f"waiting for chips after step {WARM}: {waited / (seen[-1].seconds - seen[WARM].seconds):.1%} of the time")


if __name__ == "__main__":
    main()

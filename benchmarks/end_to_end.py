"""Wall time of a prediction over that of the network alone, on the same chips.

    python -m benchmarks.end_to_end SCENE [--model NAME|DIR] [--bands ...] [--rounds N] [--threads N]

Each round measures, in turn in one process: the network alone, on the very inputs that a prediction gives it; the
prediction from opening the scene to the written GeoPackage, reading and polygons in threads of their own; and the same,
both in the calling thread. Loading libraries and weights is measured once and given apart. The ratios are medians over
the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rtsmap.cli.options import BandNumbers, Real
from rtsmap.runtime.machine import cpu_model, share_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene")
    parser.add_argument("--model", default="rts-mini")
    parser.add_argument("--bands", type=BandNumbers(), help="such as blue=1,green=2,red=3,nir=4")
    parser.add_argument("--scale", type=Real(0, min_open=True), help="reflectance per digital number")
    parser.add_argument("--offset", type=Real(-10, 10), help="reflectance of the number 0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the network; as many as cores without it")
    arguments = parser.parse_args()
    threads = share_cores(arguments.threads)
    start = time.perf_counter()
    # imported here, once the number of threads is set, and because importing is part of what is measured
    from benchmarks.recording import NetworkAlone, Recorder  # noqa: PLC0415
    from rtsmap.layer import write_layer  # noqa: PLC0415
    from rtsmap.models import find_model  # noqa: PLC0415
    from rtsmap.predict.detector import assemble  # noqa: PLC0415
    from rtsmap.predict.options import Options  # noqa: PLC0415
    from rtsmap.predict.scene import predict_scene  # noqa: PLC0415
    from rtsmap.runtime.batching import fitting  # noqa: PLC0415
    from rtsmap.runtime.execution import Execution  # noqa: PLC0415

    options = Options(bands=arguments.bands, scale=arguments.scale, offset=arguments.offset)
    folder, card = find_model(arguments.model)
    resolved = options.for_model(card)
    execution = fitting("cpu", resolved.chip_size)
    detector = assemble(folder, card, resolved, execution, device="cpu")
    loaded_s = time.perf_counter() - start

    with tempfile.TemporaryDirectory() as scratch:
        layer = Path(scratch) / "slumps.gpkg"

        def predict(prefetch: int) -> None:
            result = predict_scene(arguments.scene, detector, replace(execution, prefetch=prefetch))
            write_layer(layer, [result], detector.provenance([arguments.scene], "benchmark"))

        inputs = Path(scratch) / "inputs"
        recorder = Recorder(detector, inputs)
        predict_scene(arguments.scene, replace(detector, detector=recorder), Execution())  # also sets everything up
        alone = NetworkAlone(detector, inputs, execution.concurrency)
        seconds = [
            (alone.seconds(), wall(lambda: predict(2)), wall(lambda: predict(0))) for _ in range(arguments.rounds)
        ]
    in_threads, in_turn = ([row[k] / row[0] for row in seconds] for k in (1, 2))
    concurrency = f"{execution.concurrency} chips at a time, {threads} threads"
    print(f"{card.name} {card.version}, {recorder.chips} chips, {concurrency}, {cpu_model()}\n")
    print("| | seconds | over the network |\n|---|---|---|")
    medians = [statistics.median(column) for column in zip(*seconds, strict=True)]
    print(f"| network alone | {medians[0]:.2f} | 1 |")
    print(f"| reading and polygons in threads of their own | {medians[1]:.2f} | {statistics.median(in_threads):.3f} |")
    print(f"| both in the calling thread | {medians[2]:.2f} | {statistics.median(in_turn):.3f} |")
    print(f"| loading libraries and weights, once | {loaded_s:.2f} | |")


def wall(work: Callable[[], None]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

"""The table of the Sentinel-2 scenes and chips with published outlines that results are reported on.

    python -m benchmarks.open_scenes FOLDER -o scenes.csv

FOLDER holds `s2_scenes` (a scene `NAME.tif` beside its outlines `NAME_rts.gpkg`) and `s2_chips_wsiberia` (a chip
`NAME.tif` beside its mask `NAME_mask.tif`). `rtsmap dataset build --table scenes.csv` takes the table.
"""

import argparse
import csv
from pathlib import Path

SITES = ("iultinsky", "lower_lena", "taimyr")
SCENES, CHIPS = "s2_scenes", "s2_chips_wsiberia"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    rows = [
        (labels.with_name(labels.name.replace("_rts.gpkg", ".tif")), labels, site)
        for site in SITES
        for labels in sorted((folder / SCENES).glob(f"{site}_*_rts.gpkg"))
    ]
    rows += [
        (mask.with_name(mask.name.replace("_mask", "")), mask, "west_siberia")
        for mask in sorted((folder / CHIPS).glob("*_mask.tif"))
    ]
    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("image", "labels", "site"), *rows])
    print(f"{len(rows)} scenes -> {arguments.output}")


if __name__ == "__main__":
    main()

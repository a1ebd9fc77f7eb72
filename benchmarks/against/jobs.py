"""A scene to a layer of slumps with sahi or detectree2: `python -m benchmarks.against.jobs PEER SCENE MODEL OUT.gpkg`.

Both get the same network, chips and overlap as rtsmap, and its threshold. What had to be bridged:

- Neither resamples. A scene outside the model's range of pixel sizes is warped first, within the measured time.
- Neither reads configurations of such a network. It is handed over loaded, behind detectron2's interface of a
  predictor: an image in, `Instances` with pasted masks out. It makes its channels (RGB, NDVI, NIR) from four bands.
- sahi's own reading of a 16-bit TIFF wraps its numbers at 255, so it gets the array from rasterio. Its prediction on
  the whole scene at once, beside the slices, is off: the network was not made for it.
- detectree2 scales its multispectral tiles to 1..255 by statistics of the scene, which no network for reflectance can
  take. The statistics are set to 0 and 10,000, which the predictor undoes without loss. Tiles of nodata are kept and
  the grid covers the whole scene, as its documentation advises for prediction.
"""

# mypy: disable-error-code="import-not-found, misc"
# ruff: noqa: PLC0415  (what one peer needs is imported for it alone, outside the measured time)

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
import torch
from numpy.typing import NDArray
from rasterio.vrt import WarpedVRT

from rtsmap import bands
from rtsmap.detector.calibrated import raw_score
from rtsmap.detector.torch import TorchDetector
from rtsmap.models import find_model
from rtsmap.settings.card import ModelCard

FULL = 10_000  # digital numbers of reflectance 1


class Predictor:
    """The network behind the interface of detectron2's `DefaultPredictor`."""

    input_format = "RGB"  # sahi asks; channels are as in the file

    def __init__(self, folder: Path, card: ModelCard) -> None:
        self.card = card
        self.threshold = raw_score(card.score_threshold, card.calibration)  # peers see no calibration
        detector = TorchDetector(card, folder / card.weights, device="cpu", min_score=self.threshold)
        self._network = detector.network

    def __call__(self, image: NDArray[Any]) -> dict[str, Any]:
        """Instances in an image `(rows, columns, 4)` of digital numbers, 0 where there is no data."""
        numbers = np.moveaxis(image, -1, 0)
        valid = (numbers != 0).any(axis=0)
        reflectance = bands.to_reflectance(numbers, 1 / FULL, valid)
        inputs = self.card.input
        channels = bands.network_input(reflectance, valid, inputs.modalities, inputs.mean, inputs.std)
        height, width = valid.shape
        with torch.inference_mode():
            found = self._network([{"image": torch.from_numpy(channels), "height": height, "width": width}])
        return dict(found[0])


def sahi(scene: Path, predictor: Predictor) -> geopandas.GeoDataFrame:
    """`get_sliced_prediction` with its defaults but for the size of the slices."""
    from sahi.models.detectron2 import Detectron2DetectionModel
    from sahi.predict import get_sliced_prediction

    class Loaded(Detectron2DetectionModel):
        def set_model(self, model: Any, **_options: Any) -> None:
            self.model = model

    card = predictor.card
    with rasterio.open(scene) as dataset:
        image, transform, crs = np.moveaxis(dataset.read(), 0, -1), dataset.transform, dataset.crs
    model = Loaded(
        model=predictor,
        confidence_threshold=predictor.threshold,
        category_mapping={"0": "slump"},
        device="cpu",
    )
    ratio = card.input.overlap / card.input.chip_size
    result = get_sliced_prediction(
        np.ascontiguousarray(image),
        model,
        slice_height=card.input.chip_size,
        slice_width=card.input.chip_size,
        overlap_height_ratio=ratio,
        overlap_width_ratio=ratio,
        perform_standard_pred=False,
        verbose=0,
    )
    found = [(_multi(one.mask.segmentation), one.score.value) for one in result.object_prediction_list]
    shapes = [shapely.transform(shape, lambda xy: np.column_stack(transform @ xy.T)) for shape, _ in found]
    return geopandas.GeoDataFrame({"score": [score for _, score in found]}, geometry=shapes, crs=crs)


def _multi(rings: list[list[float]]) -> Any:
    outlines = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in rings if len(ring) >= 6]
    return shapely.union_all(shapely.make_valid(outlines))


def detectree2(scene: Path, predictor: Predictor) -> geopandas.GeoDataFrame:
    """The landscape predictions of its tutorial: tile, predict, project, stitch, clean."""
    from detectree2.models.outputs import clean_crowns, project_to_geojson, stitch_crowns
    from detectree2.models.predict import predict_on_data
    from detectree2.preprocessing import tiling

    logging.disable()
    tiling.calculate_image_statistics = lambda *_words, **_options: [{"min": 0, "max": FULL}] * 4
    inputs = predictor.card.input
    with rasterio.open(scene) as dataset:
        pixel = dataset.res[0]
    buffer, width = round(inputs.overlap / 2 * pixel), round((inputs.chip_size - inputs.overlap) * pixel)
    with tempfile.TemporaryDirectory(dir=scene.parent) as name:
        tiles = Path(name)
        tiling.tile_data(str(scene), str(tiles), buffer, width, width, nan_threshold=1, mode="ms", full_coverage=True)
        predict_on_data(tiles, tiles / "predictions", predictor=lambda image: predictor(_numbers(image)))
        project_to_geojson(tiles, tiles / "predictions", tiles / "geo")
        crowns = clean_crowns(stitch_crowns(str(tiles / "geo"), 1), 0.6, confidence=0)
    return crowns.rename(columns={"Confidence_score": "score"})[["score", "geometry"]]


def _numbers(image: NDArray[Any]) -> NDArray[Any]:
    """Undo the scaling of a multispectral tile; 0 is its nodata."""
    return np.where(image == 0, 0, np.rint((image - 1) / 254 * FULL))


@contextmanager
def at_model_gsd(scene: Path, card: ModelCard, folder: Path) -> Iterator[Path]:
    """The scene, or a copy of it with the model's pixel size."""
    lowest, highest = card.input.gsd_range_m
    with rasterio.open(scene) as dataset:
        if lowest <= dataset.res[0] <= highest:
            yield scene
            return
        factor = dataset.res[0] / card.input.gsd_m
        shape = round(dataset.height * factor), round(dataset.width * factor)
        transform = dataset.transform @ rasterio.Affine.scale(1 / factor)
        with WarpedVRT(dataset, height=shape[0], width=shape[1], transform=transform, resampling=1) as view:
            profile = view.profile | {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256}
            path = folder / "warped.tif"
            with rasterio.open(path, "w", **profile) as copy:
                copy.write(view.read())
    yield path


PEERS = {"sahi": sahi, "detectree2": detectree2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("scene", type=Path)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    folder, card = find_model(options.model)
    beside = options.output.parent
    with tempfile.TemporaryDirectory(dir=beside) as own, at_model_gsd(options.scene, card, Path(own)) as scene:
        layer = PEERS[options.peer](scene, Predictor(folder, card))
    layer.to_file(options.output, driver="GPKG", layer="thaw_slumps")


if __name__ == "__main__":
    main()

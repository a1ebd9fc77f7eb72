"""A preview of a scene with the outlines that were found in it."""

from pathlib import Path

from affine import Affine

from rtsmap import preview
from rtsmap.layer import SceneResult
from rtsmap.predict.layout import open_with
from rtsmap.predict.options import ResolvedOptions
from rtsmap.scene.ground_distance import pixel_size_m


def draw(path: Path, scene_path: str, result: SceneResult, options: ResolvedOptions, *, overwrite: bool = True) -> None:
    """Draw the outlines of a scene over its colours, as PNG."""
    with open_with(scene_path, options, terrain=False) as scene:
        pixels = scene.read_decimated(preview.MAX_SIDE)
        shape = pixels.valid.shape
        transform = scene.grid.transform @ Affine.scale(scene.grid.width / shape[1], scene.grid.height / shape[0])
        preview.write_preview(
            path,
            pixels,
            transform,
            [slump.geometry for slump in result.slumps],
            heading=preview.title(result.info, len(result.slumps)),
            pixel_m=pixel_size_m(scene.grid)[0] * scene.grid.width / shape[1],
            overwrite=overwrite,
        )

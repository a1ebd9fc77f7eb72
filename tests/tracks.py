"""Small layers of several years, to be followed."""

from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import shapely
from shapely import Polygon, box

CRS = "EPSG:32608"
X, Y = 500_000, 7_700_000


def square(x: float, y: float, side: float, height: float | None = None) -> Polygon:
    """A rectangle whose lower left corner lies so many metres from a place on the Yukon coast."""
    return box(X + x, Y + y, X + x + side, Y + y + (height or side))


def write_map(
    path: Path,
    day: str,
    outlines: list[Polygon],
    observed: Polygon | None = None,
    *,
    scores: list[float] | None = None,
    model: str = "a",
    crs: str = CRS,
) -> Path:
    """A layer as `rtsmap predict` writes it, with the fields that tracks are made of; append to one that exists."""
    common = {"scene_id": f"{path.stem}_{day}", "acquired": np.datetime64(day, "ms"), "gsd_m": 3.0, "model": model}
    columns = {
        "slump_id": [f"{day}/{number}" for number in range(len(outlines))],
        "score": scores or [0.8] * len(outlines),
    }
    columns["model_sha256"] = [f"{model}123456789"] * len(outlines)
    slumps = geopandas.GeoDataFrame(columns, geometry=geopandas.GeoSeries(outlines, crs=crs), crs=crs).assign(**common)
    append = path.exists()
    pyogrio.write_dataframe(slumps, path, layer="thaw_slumps", driver="GPKG", geometry_type="Unknown", append=append)
    if observed is not None:
        area = geopandas.GeoDataFrame(common, index=[0], geometry=[observed], crs=crs)
        pyogrio.write_dataframe(area, path, layer="observed_area", driver="GPKG", append=append)
    return path


def write_plain(path: Path, dates: list[object], outlines: list[Polygon], field: str = "date") -> Path:
    """Published outlines: one layer, a field of dates."""
    frame = geopandas.GeoDataFrame({field: dates}, geometry=outlines, crs=CRS)
    pyogrio.write_dataframe(frame, path, layer="rts", driver="GPKG")
    return path


def read(path: Path, layer: str) -> geopandas.GeoDataFrame:
    """A layer of the output, without pyogrio's warning of several layers."""
    return geopandas.read_file(path, layer=layer)


def area_m2(shapes: geopandas.GeoSeries) -> np.ndarray:
    """Geodesic areas."""
    from rtsmap.geometry import geodesic_areas_m2

    return geodesic_areas_m2(shapes)


def wobbly(x: float, y: float, radius: float, rng: np.random.Generator, sigma: float) -> Polygon:
    """A round outline with an uneven edge."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = radius + rng.normal(0, sigma, 48)
    return shapely.Polygon(np.column_stack([X + x + reach * np.cos(angle), Y + y + reach * np.sin(angle)]))

"""Statistics of a data set: of its channels, to normalise the network's input, and of its sites and slumps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from rtsmap import bands
from rtsmap.dataset.images import Dataset, LabelledImage
from rtsmap.dataset.tiles import label_numbers, tiles
from rtsmap.errors import DatasetError
from rtsmap.records import BoolArray, FloatArray, Pixels

#: Number of bins of the histograms of channels; see `channel_range`.
BINS = 256

#: Quantiles of the areas of slumps that the table shows.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_RANGES = {"ndvi": (-1.0, 1.0), "elevation": (-64.0, 64.0), "slope": (0.0, 64.0)}  # m and degrees


@dataclass(frozen=True)
class ChannelHistograms:
    """Counts of the valid pixels of a site per channel and bin, `(BINS,)`, inside slumps and outside them."""

    slump: dict[str, NDArray[np.int64]]
    background: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class SiteStatistics:
    """Statistics of a site.

    Attributes:
        site: name of the site.
        images: number of images.
        empty: number of images without a slump.
        scenes: number of scenes.
        labels: number of labels; a slump in two images counts twice.
        slumps: number of different slumps, by uid where there is one.
        areas_m2: areas of these slumps, ascending, m2; of the whole slump where an image shows only a part.
        valid_km2: area of the valid pixels, km2; ground that two images show counts twice.
        gsd_m: lowest and highest ground sampling distance, m.
        days: first and last day of the images; None where no day is known.
        histograms: histograms of the channels.
    """

    site: str
    images: int
    empty: int
    scenes: int
    labels: int
    slumps: int
    areas_m2: NDArray[np.float64]
    valid_km2: float
    gsd_m: tuple[float, float]
    days: tuple[date, date] | None
    histograms: ChannelHistograms

    @property
    def density_per_km2(self) -> float:
        """Number of labels per km2 of valid pixels; NaN without valid pixels."""
        return self.labels / self.valid_km2 if self.valid_km2 else float("nan")


def channel_statistics(dataset: Dataset, modalities: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Compute mean and standard deviation of every channel over the valid pixels, with equal weight for each site.

    Args:
        dataset: the data set, whose images are read tile by tile.
        modalities: names of modalities out of `bands.MODALITY_CHANNELS`.

    Returns:
        Mean and standard deviation by the name of the channel, rounded to 4 decimals; reflectance in 0..1, NDVI in
        -1..1, elevation in m, slope in degrees.

    Raises:
        DatasetError: an image lacks the bands of a modality or cannot be read, or a channel is constant.
    """
    if lacking := sorted(set(modalities) - set(dataset.modalities)):
        raise DatasetError(f"{dataset.folder}: some images lack the bands of {', '.join(lacking)}; choose others")
    names = bands.channels(modalities)
    by_site: dict[str, NDArray[np.float64]] = {}
    for image in dataset.images:
        sums = by_site.setdefault(image.site, np.zeros((2, len(names) + 1)))
        for _, pixels in tiles(dataset.folder, image):
            values = _channel_values(pixels, pixels.valid, names)
            sums[0] += [values.shape[1], *values.sum(axis=1, dtype=np.float64)]
            sums[1, 1:] += [np.square(row, dtype=np.float64).sum() for row in values]
    moments = [sums[:, 1:] / sums[0, 0] for sums in by_site.values() if sums[0, 0]]
    if not moments:
        raise DatasetError(f"{dataset.folder}: has no valid pixel; run rtsmap dataset check")
    mean, square = np.mean(moments, axis=0)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    if constant := [name for name, value in zip(names, deviation, strict=True) if value < 1e-4]:
        raise DatasetError(f"{dataset.folder}: {constant[0]} is the same in all pixels; run rtsmap dataset check")
    return _rounded(names, mean), _rounded(names, deviation)


def _rounded(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def _channel_values(pixels: Pixels, chosen: BoolArray, names: Sequence[str]) -> FloatArray:
    """Return the channels of the chosen pixels, `(channels, pixels)`."""
    reflectance = pixels.reflectance[:, chosen]
    terrain = None if pixels.terrain is None else pixels.terrain[:, chosen]
    rows = [bands.channel(name, reflectance, terrain) for name in names]
    return np.array(rows, dtype=np.float32).reshape(len(names), reflectance.shape[1])


def site_statistics(dataset: Dataset) -> list[SiteStatistics]:
    """Compute the statistics of each site, sorted by name; images are read tile by tile.

    Raises:
        DatasetError: an image cannot be read.
    """
    names = bands.channels(dataset.modalities)
    return [_site(dataset, [i for i in dataset.images if i.site == site], names) for site in dataset.sites]


def _site(dataset: Dataset, images: Sequence[LabelledImage], names: Sequence[str]) -> SiteStatistics:
    histograms = ChannelHistograms(*({name: np.zeros(BINS, dtype=np.int64) for name in names} for _ in range(2)))
    valid_km2 = sum(_count(dataset, image, histograms) * image.gsd_m**2 / 1e6 for image in images)
    areas = _areas(images)
    days = sorted(image.acquired for image in images if image.acquired)
    return SiteStatistics(
        site=images[0].site,
        images=len(images),
        empty=sum(not image.slumps for image in images),
        scenes=len({image.scene for image in images}),
        labels=sum(len(image.slumps) for image in images),
        slumps=len(areas),
        areas_m2=areas,
        valid_km2=valid_km2,
        gsd_m=(min(image.gsd_m for image in images), max(image.gsd_m for image in images)),
        days=(days[0], days[-1]) if days else None,
        histograms=histograms,
    )


def _count(dataset: Dataset, image: LabelledImage, histograms: ChannelHistograms) -> int:
    """Add the pixels of an image to the histograms, and return the number of valid ones."""
    valid_px = 0
    for window, pixels in tiles(dataset.folder, image):
        valid_px += int(pixels.valid.sum())
        numbers = label_numbers(image, window)
        for chosen, counts in ((numbers > 0, histograms.slump), (numbers == 0, histograms.background)):
            values = _channel_values(pixels, pixels.valid & chosen, list(counts))
            for name, row in zip(counts, values, strict=True):
                counts[name] += np.histogram(row, BINS, channel_range(name))[0]
    return valid_px


def channel_range(name: str) -> tuple[float, float]:
    """Return the lowest and the highest value of the histogram of a channel.

    The range of reflectance is wider than 0..1 by half a level of 8 bits, so that each bin holds one level of 8-bit
    images. The ranges of elevation and slope leave out values that are higher or steeper than any slump.
    """
    return _RANGES.get(name, (-1 / 510, 1 + 1 / 510))


def _areas(images: Sequence[LabelledImage]) -> NDArray[np.float64]:
    """Return the areas of the slumps in m2, ascending, each from the image that shows most of the slump."""
    seen: dict[object, tuple[float, float]] = {}
    for image in images:
        for number, slump in enumerate(image.slumps):
            key = slump.uid or (image.name, number)
            area = slump.outline.area * image.gsd_m**2 / max(slump.visible_fraction, 1e-3)
            seen[key] = max(seen.get(key, (0.0, 0.0)), (slump.visible_fraction, area))
    return np.sort([area for _, area in seen.values()])


def statistics_table(sites: Sequence[SiteStatistics]) -> list[list[str]]:
    """Return a table with a header and a row for each site."""
    quantiles = [f"p{round(100 * q)} m2" for q in QUANTILES]
    header = ["site", "images", "empty", "scenes", "labels", "slumps", *quantiles, "km2", "per km2", "gsd m", "days"]
    return [header, *(_row(site) for site in sites)]


def _row(site: SiteStatistics) -> list[str]:
    areas = [f"{area:.0f}" for area in np.quantile(site.areas_m2, QUANTILES)] if site.slumps else ["-"] * len(QUANTILES)
    low, high = site.gsd_m
    return [
        site.site,
        str(site.images),
        f"{site.empty / site.images:.0%}",
        *(str(number) for number in (site.scenes, site.labels, site.slumps)),
        *areas,
        f"{site.valid_km2:.2f}",
        f"{site.density_per_km2:.2f}",
        f"{low:.2f}" if high - low < 0.005 else f"{low:.2f}-{high:.2f}",
        " to ".join(map(str, dict.fromkeys(site.days))) if site.days else "not known",
    ]

"""A figure of a data set: histograms of the areas of slumps, and of channels inside and outside slumps, by site."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rtsmap.dataset.stats import BINS, SiteStatistics, channel_range
from rtsmap.figures import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SLUMP, _GROUND = "#c0392b", "#4d7358"
_WIDTH, _HEIGHT = 2.6, 2.1  # size of one histogram, inches

#: Share of the pixels that a histogram of reflectance omits at its bright end, where snow and sun glint lie.
_CUT = 0.002


def write_histograms(sites: Sequence[SiteStatistics], path: Path, *, overwrite: bool = True) -> None:
    """Write a PNG of histograms: a row for each site, with the areas of slumps and every channel.

    Args:
        sites: the result of `site_statistics`.
        path: path of the PNG.
        overwrite: replace an existing file.

    Raises:
        DatasetError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    channels = list(sites[0].histograms.slump)
    size = (_WIDTH * (len(channels) + 1), _HEIGHT * len(sites) + 0.4)
    with drawing(path, size, overwrite=overwrite) as figure:
        panels = figure.subplots(len(sites), len(channels) + 1, squeeze=False)
        limits = {name: _limits(sites, name) for name in channels}
        bins = _area_bins(sites)
        for row, site in zip(panels, sites, strict=True):
            _draw_areas(row[0], site, bins)
            for panel, name in zip(row[1:], channels, strict=True):
                _draw_channel(panel, site, name, limits[name])
        for panel, name in zip(panels[0], ["area, m²", *channels], strict=True):
            panel.set_title(name)
        if channels:
            panels[0][1].legend(fontsize="x-small", frameon=False)


def _area_bins(sites: Sequence[SiteStatistics]) -> NDArray[np.float64]:
    """Return bins of area that all sites share, six per power of ten."""
    areas = np.concatenate([site.areas_m2 for site in sites])
    areas = areas[areas > 0] if (areas > 0).any() else np.array([100.0, 1000.0])
    low, high = np.floor(np.log10(areas.min())), np.ceil(np.log10(areas.max()) + 1e-9)
    bins: NDArray[np.float64] = np.logspace(low, high, int(high - low) * 6 + 1)
    return bins


def _draw_areas(panel: "Axes", site: SiteStatistics, bins: NDArray[np.float64]) -> None:
    panel.hist(site.areas_m2, bins=bins.tolist(), color=_SLUMP)
    panel.set_xscale("log")
    panel.locator_params(axis="y", integer=True)
    panel.set_ylabel(f"{site.site}\n{site.slumps} slumps")
    panel.tick_params(labelsize="x-small")


def _limits(sites: Sequence[SiteStatistics], name: str) -> tuple[float, float]:
    """Return the range of a channel that holds nearly all pixels of all sites."""
    counts = sum((s.histograms.slump[name] + s.histograms.background[name] for s in sites), np.zeros(BINS, np.int64))
    edges = np.linspace(*channel_range(name), BINS + 1)
    if not counts.any():
        return channel_range(name)
    shares = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(shares, _CUT))
    last = min(int(np.searchsorted(shares, 1 - _CUT)) + 2, BINS)
    return float(edges[first]) if channel_range(name)[0] <= -1 else 0.0, float(edges[last])


def _draw_channel(panel: "Axes", site: SiteStatistics, name: str, limits: tuple[float, float]) -> None:
    """Draw both histograms with the same area, because slumps cover few pixels."""
    edges = np.linspace(*channel_range(name), BINS + 1)
    for label, counts, colour in (
        ("background", site.histograms.background[name], _GROUND),
        ("slumps", site.histograms.slump[name], _SLUMP),
    ):
        if counts.any():
            panel.stairs(counts / counts.sum(), edges, fill=True, alpha=0.5, color=colour, label=label)
    panel.set_xlim(*limits)
    panel.locator_params(axis="x", nbins=5)
    panel.set_yticks([])
    panel.tick_params(labelsize="x-small")

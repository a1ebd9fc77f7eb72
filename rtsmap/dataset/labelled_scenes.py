"""Finding the labels of each scene before any chip is cut."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import geopandas
import shapely
from shapely.geometry.base import BaseGeometry

from rtsmap.dataset.label_matching import Rule, SceneExtent, commonest, extent_of, ids_that_match, match, on_scene
from rtsmap.dataset.labels import COLUMNS, Fields, read_footprints, read_labels
from rtsmap.dataset.sources import Source
from rtsmap.errors import DatasetError
from rtsmap.polygons import MAP_LAYER, read_polygons
from rtsmap.scene import DEFAULT_MASK, Scene, open_scene

#: A file, and the layer of it that was asked for.
_Layer = tuple[Path, str | None]


@dataclass(frozen=True)
class Inputs:
    """How scenes and labels are read.

    Attributes:
        bands: number of each band; see `open_scene`.
        scale: reflectance per digital number, for scenes whose source gives none; see `open_scene`.
        offset: reflectance of the number 0, for scenes whose source gives none; see `open_scene`.
        mask: classes of the cloud mask that count as not observed; see `open_scene`.
        layer: layer of the label files.
        footprint_layer: layer of the footprint files.
        fields: names of the fields of the label files.
        rule: which labels belong to a scene.
        site: site of all scenes whose source gives none; it takes precedence over the site of the labels.
        hard_negatives: a map made by `rtsmap predict`; its polygons that touch no label are taken as no slumps.
        hard_negatives_layer: layer of that map; None for thaw_slumps, or for the only layer.
        dem: elevation model for scenes whose source gives none; see `open_scene`.
    """

    bands: Mapping[str, int] | None = None
    scale: float | None = None
    offset: float | None = None
    mask: Collection[str] = DEFAULT_MASK
    layer: str | None = None
    footprint_layer: str | None = None
    fields: Fields = field(default_factory=Fields)
    rule: Rule = field(default_factory=Rule)
    site: str | None = None
    hard_negatives: Path | None = None
    dem: str | None = None
    hard_negatives_layer: str | None = None

    def open(self, source: Source) -> Scene:
        """Open the scene of a source."""
        dem = self.dem if source.dem is None else source.dem
        scale = self.scale if source.scale is None else source.scale
        offset = self.offset if source.offset is None else source.offset
        return open_scene(source.image, bands=self.bands, scale=scale, offset=offset, mask=self.mask, dem=dem)


@dataclass(frozen=True)
class LabelledScene:
    """A scene and its labels, in the scene's CRS.

    Attributes:
        source: the files of the scene.
        extent: identifier, date and valid area of the scene.
        site: name of its site.
        slumps: outlines of slumps, with the columns of `labels.COLUMNS`.
        annotated_area: area that the labeller searched; None stands for the whole scene.
        hard_negatives: points on ground that resembles a slump but is none.
    """

    source: Source
    extent: SceneExtent
    site: str
    slumps: geopandas.GeoDataFrame
    annotated_area: BaseGeometry | None
    hard_negatives: tuple[shapely.Point, ...]


@dataclass
class LabelledScenes:
    """The scenes from which a data set is cut.

    Attributes:
        scenes: scenes with their labels.
        matched: number of labels that belong to a scene.
        unmatched: number of labels that belong to no scene.
        notes: messages for the user, one line each.
    """

    scenes: list[LabelledScene] = field(default_factory=list)
    matched: int = 0
    unmatched: int = 0
    notes: list[str] = field(default_factory=list)


def label_scenes(
    sources: Sequence[Source], inputs: Inputs, progress: Callable[[int, int], None] = lambda done, total: None
) -> LabelledScenes:
    """Find the labels of every scene.

    Args:
        sources: scenes with their label files.
        inputs: how to read them.
        progress: called with the number of finished scenes and of all scenes.

    Raises:
        DatasetError: two scenes have the same id, or no label belongs to any scene.
        InputError: a scene or a label file cannot be read.
    """
    extents, unmasked = [], []
    for done, source in enumerate(sources, start=1):
        with inputs.open(source) as scene:
            extents.append(extent_of(scene, source.acquired))
            if inputs.mask and not scene.clouds_masked:
                unmasked.append(scene.info.scene_id)
        progress(done, len(sources))
    _check_ids(sources, extents)
    result = _SceneLabeller(sources, extents, inputs).label()
    if unmasked:
        named = ", ".join(unmasked[:3]) + (f" and {len(unmasked) - 3} more" if len(unmasked) > 3 else "")
        result.notes.append(f"clouds were not masked in {named}: no cloud mask was found")
    return result


def _check_ids(sources: Sequence[Source], extents: Sequence[SceneExtent]) -> None:
    known: dict[str, str] = {}
    for source, extent in zip(sources, extents, strict=True):
        if extent.scene_id in known:
            raise DatasetError(
                f"{source.image}: has the same scene id, {extent.scene_id}, as {known[extent.scene_id]}; "
                "leave one out, or give the files different names"
            )
        known[extent.scene_id] = source.image


class _SceneLabeller:
    """Reads every label file once, and records which of its labels belong to a scene."""

    def __init__(self, sources: Sequence[Source], extents: Sequence[SceneExtent], inputs: Inputs) -> None:
        self._sources, self._extents, self._inputs = sources, extents, inputs
        self._frames: dict[_Layer, geopandas.GeoDataFrame] = {}
        self._used: dict[_Layer, set[Any]] = {}
        self._footprints: dict[_Layer, geopandas.GeoDataFrame] = {}
        self._ids_count: dict[int, bool] = {}
        self._result = LabelledScenes()
        hard = inputs.hard_negatives
        wanted = {"option": "--hard-negatives-layer", "usual": MAP_LAYER}
        self._mapped = None if hard is None else read_polygons(hard, inputs.hard_negatives_layer, **wanted)

    def label(self) -> LabelledScenes:
        """Find the labels of all scenes."""
        result = self._result
        for source, extent in zip(self._sources, self._extents, strict=True):
            self._add(source, extent)
        read = sum(len(self._frames[layer]) for layer in self._used)
        result.matched = sum(map(len, self._used.values()))
        result.unmatched = read - result.matched
        if read and not result.matched:
            raise DatasetError(
                f"{', '.join(str(path) for path, _ in self._used)}: none of {read} polygons belongs to a scene; "
                "check their scene ids, their dates (--days, --any-date) and the CRS"
            )
        if not result.scenes:
            raise DatasetError(f"no scene is left; {'; '.join(result.notes)}")
        return result

    def _add(self, source: Source, extent: SceneExtent) -> None:
        annotated_area, notes = None, self._result.notes
        if source.labels is not None:
            self._labels(source)  # reports an empty file even if the scene is left out
        if source.footprints is not None:
            annotated_area = self._annotated_area(source.footprints, source.footprints_layer, extent)
            if annotated_area is None:
                notes.append(f"{extent.stem}: left out, because {source.footprints} has no footprint of it")
                return
        labels = self._labels_of(source, extent)
        if source.labels is not None and labels.empty and annotated_area is None:
            notes.append(
                f"{extent.stem}: left out, because no polygon of {source.labels} belongs to it; if it was searched and "
                "has no slumps, say so with --footprints or with an empty cell in a --table"
            )
            return
        slumps, others = labels[labels["positive"]], labels[~labels["positive"]]
        points = [*others.representative_point(), *self._false_alarms(source, extent, annotated_area)]
        site = self._site(source, extent, labels)
        self._result.scenes.append(LabelledScene(source, extent, site, slumps, annotated_area, tuple(points)))

    def _labels(self, source: Source) -> geopandas.GeoDataFrame:
        path, layer = of = self._label_layer(source)
        if of not in self._frames:
            sharing = [other for other in self._sources if other.labels and self._label_layer(other) == of]
            known = all(other.footprints is not None for other in sharing)
            self._frames[of] = read_labels(path, layer=layer, fields=self._inputs.fields, allow_empty=known)
        return self._frames[of]

    def _label_layer(self, source: Source) -> _Layer:
        assert source.labels is not None
        return source.labels, source.layer or self._inputs.layer

    def _labels_of(self, source: Source, extent: SceneExtent) -> geopandas.GeoDataFrame:
        if source.labels is None:
            return geopandas.GeoDataFrame({name: [] for name in COLUMNS}, geometry=[], crs=extent.crs).astype(
                {"positive": bool}
            )
        labels = self._labels(source)
        by_id = self._by_id(source.labels, labels)
        rule = replace(self._inputs.rule, undated=self._inputs.rule.undated or source.paired)
        mine = match(labels, extent, rule, by_id=by_id, source=source.labels)
        self._used.setdefault(self._label_layer(source), set()).update(mine.index)
        return mine

    def _annotated_area(self, path: Path, layer: str | None, extent: SceneExtent) -> BaseGeometry | None:
        """Return the union of a scene's footprints; those without a date are matched by place."""
        of = path, layer or self._inputs.footprint_layer
        if of not in self._footprints:
            self._footprints[of] = read_footprints(path, layer=of[1])
        footprints = self._footprints[of]
        by_id, rule = self._by_id(path, footprints), replace(self._inputs.rule, undated=True)
        mine = match(footprints, extent, rule, by_id=by_id, source=path, overlapping=True)
        return None if mine.empty else mine.union_all()

    def _by_id(self, path: Path, frame: geopandas.GeoDataFrame) -> bool:
        """Whether a file names any of the scenes that it was given for."""
        key = id(frame)  # labels and footprints are kept as long as this object, so ids stay unique
        if key not in self._ids_count:
            pairs = zip(self._sources, self._extents, strict=True)
            extents = [extent for source, extent in pairs if path in {source.labels, source.footprints}]
            self._ids_count[key] = ids_that_match(frame, extents)
        return self._ids_count[key]

    def _false_alarms(
        self, source: Source, extent: SceneExtent, annotated_area: BaseGeometry | None
    ) -> Sequence[shapely.Point]:
        """Return points of a model's polygons that touch no label of any date and lie in the annotated area."""
        if self._mapped is None:
            return []
        found = on_scene(self._mapped, extent)
        if source.labels is not None:
            labels = on_scene(self._labels(source), extent)
            slumps = labels[labels["positive"]].union_all()
            found = found[~found.intersects(slumps)]
        points = found.representative_point()
        return list(points if annotated_area is None else points[points.within(annotated_area)])

    def _site(self, source: Source, extent: SceneExtent, labels: geopandas.GeoDataFrame) -> str:
        site = source.site or self._inputs.site or commonest(labels["site"].dropna())
        if site is None:
            self._result.notes.append(
                f"{extent.stem}: is taken as a site by itself, because no site is known; give --site, so that scenes "
                "of one place never lie on both sides of a split"
            )
        return site or extent.scene_id

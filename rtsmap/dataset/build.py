"""Scenes and labels made into a data set of chips, scene by scene and window by window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtsmap.dataset.choosing import Cutting, SceneChips
from rtsmap.dataset.images import LabelledImage
from rtsmap.dataset.modality_files import write_modalities
from rtsmap.dataset.planning import Inputs, Plan, ScenePlan, plan
from rtsmap.dataset.sources import Source
from rtsmap.dataset.writing import DatasetWriter, writing_dataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SceneReport:
    """What became of a scene; `slumps` counts a slump in two chips twice."""

    scene_id: str
    site: str
    labels: int
    chips: int
    with_slumps: int
    slumps: int
    ignored: int
    hard_negatives: int


@dataclass(frozen=True)
class Report:
    """What became of scenes and labels.

    Attributes:
        scenes: one by one.
        matched: labels that belong to a scene.
        unmatched: labels that belong to none.
        notes: what the user should know, one line each.
    """

    scenes: tuple[SceneReport, ...]
    matched: int
    unmatched: int
    notes: tuple[str, ...] = field(default=())


def build(
    sources: Sequence[Source],
    folder: Path | None,
    inputs: Inputs,
    cutting: Cutting,
    *,
    description: str = "",
    shard_size: int = 0,
    modality_files: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Build a data set.

    Args:
        sources: scenes with their labels.
        folder: of the data set, which appears when all is done; None: nothing is written.
        inputs: how scenes and labels are read.
        cutting: how scenes are cut.
        description: where images and labels come from, for the data set's table.
        shard_size: images in a tar file; 0: plain files.
        modality_files: write the modalities too, see `write_modalities`.
        overwrite: an existing data set goes; a folder that holds anything else stays.
        progress: is told how many steps are done, and of how many: two for each scene.

    Raises:
        InputError: a scene, a label file or an option is wrong; see `plan`.
        OutputError: the disk is full.
    """

    def prepared() -> Plan:
        return plan(sources, inputs, lambda done, total: progress(done, 2 * total))

    if folder is None:
        return _cut(prepared(), inputs, cutting, None, modality_files, progress)
    with writing_dataset(folder, description, shard_size=shard_size, overwrite=overwrite) as writer:
        return _cut(prepared(), inputs, cutting, writer, modality_files, progress)


def _cut(
    prepared: Plan,
    inputs: Inputs,
    cutting: Cutting,
    writer: DatasetWriter | None,
    modality_files: bool,
    progress: Progress,
) -> Report:
    reports, notes, count = [], list(prepared.notes), len(prepared.scenes)
    for done, scene_plan in enumerate(prepared.scenes, start=1):
        with inputs.open(scene_plan.source) as scene:
            cut = SceneChips(scene, scene_plan, cutting)
            chosen = cut.choose()
            notes += cut.notes
            if writer is not None:
                _write(cut, chosen, writer, modality_files)
            reports.append(_report(scene_plan, list(chosen.values())))
        progress(count + done, 2 * count)
    return Report(tuple(reports), prepared.matched, prepared.unmatched, tuple(notes))


def _write(
    cut: SceneChips, chosen: Mapping[tuple[int, int], LabelledImage], writer: DatasetWriter, modality_files: bool
) -> None:
    for chip in cut.chips(chosen):
        image = chosen[chip.window.row, chip.window.column]
        writer.add(image, chip.pixels)
        if modality_files:
            write_modalities(writer.folder, image, chip.pixels)


def _report(scene_plan: ScenePlan, images: Sequence[LabelledImage]) -> SceneReport:
    return SceneReport(
        scene_id=scene_plan.place.scene_id,
        site=scene_plan.site,
        labels=len(scene_plan.slumps),
        chips=len(images),
        with_slumps=sum(bool(image.slumps) for image in images),
        slumps=sum(len(image.slumps) for image in images),
        ignored=sum(len(image.ignored) for image in images),
        hard_negatives=sum(len(image.hard_negatives) for image in images),
    )

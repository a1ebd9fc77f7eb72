"""Building a data set of chips from scenes and labels, scene by scene and window by window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rtsmap.dataset.chip_selection import ChipOptions, SceneChips
from rtsmap.dataset.images import LabelledImage
from rtsmap.dataset.labelled_scenes import Inputs, LabelledScene, LabelledScenes, label_scenes
from rtsmap.dataset.modality_files import write_modalities
from rtsmap.dataset.sources import Source
from rtsmap.dataset.writer import DatasetWriter, writing_dataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SceneSummary:
    """The number of labels of a scene and of the chips made from it; a slump in two chips counts twice in `slumps`."""

    scene_id: str
    site: str
    labels: int
    chips: int
    with_slumps: int
    slumps: int
    ignored: int
    hard_negatives: int


@dataclass(frozen=True)
class BuildSummary:
    """What was made of scenes and labels.

    Attributes:
        scenes: a summary of each scene.
        matched: number of labels that belong to a scene.
        unmatched: number of labels that belong to no scene.
        notes: messages for the user, one line each.
    """

    scenes: tuple[SceneSummary, ...]
    matched: int
    unmatched: int
    notes: tuple[str, ...] = field(default=())


def build(
    sources: Sequence[Source],
    folder: Path | None,
    inputs: Inputs,
    options: ChipOptions,
    *,
    description: str = "",
    shard_size: int = 0,
    modality_files: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> BuildSummary:
    """Build a data set.

    Args:
        sources: scenes with their label files.
        folder: folder of the data set, which appears when all is done; None to write nothing.
        inputs: how scenes and labels are read.
        options: how scenes are cut into chips.
        description: where images and labels come from, for `annotations.json`.
        shard_size: number of images in each tar file; 0 to write plain files.
        modality_files: also write the modalities as files; see `write_modalities`.
        overwrite: replace an existing data set; a folder that holds other files is never replaced.
        progress: called with the number of finished steps and of all steps; each scene takes two.

    Returns:
        A summary of scenes and labels.

    Raises:
        InputError: a scene, a label file or an option is wrong; see `label_scenes`.
        OutputError: the data set cannot be written.
    """

    def prepared() -> LabelledScenes:
        return label_scenes(sources, inputs, lambda done, total: progress(done, 2 * total))

    if folder is None:
        return _cut(prepared(), inputs, options, None, modality_files, progress)
    with writing_dataset(folder, description, shard_size=shard_size, overwrite=overwrite) as writer:
        return _cut(prepared(), inputs, options, writer, modality_files, progress)


def _cut(
    prepared: LabelledScenes,
    inputs: Inputs,
    options: ChipOptions,
    writer: DatasetWriter | None,
    modality_files: bool,
    progress: Progress,
) -> BuildSummary:
    reports, notes, count = [], list(prepared.notes), len(prepared.scenes)
    for done, labelled in enumerate(prepared.scenes, start=1):
        with inputs.open(labelled.source) as scene:
            cut = SceneChips(scene, labelled, options)
            chosen = cut.choose()
            notes += cut.notes
            if writer is not None:
                _write(cut, chosen, writer, modality_files)
            reports.append(_report(labelled, list(chosen.values())))
        progress(count + done, 2 * count)
    return BuildSummary(tuple(reports), prepared.matched, prepared.unmatched, tuple(notes))


def _write(
    cut: SceneChips, chosen: Mapping[tuple[int, int], LabelledImage], writer: DatasetWriter, modality_files: bool
) -> None:
    for chip in cut.chips(chosen):
        image = chosen[chip.window.row, chip.window.column]
        writer.add(image, chip.pixels)
        if modality_files:
            write_modalities(writer.folder, image, chip.pixels)


def _report(labelled: LabelledScene, images: Sequence[LabelledImage]) -> SceneSummary:
    return SceneSummary(
        scene_id=labelled.extent.scene_id,
        site=labelled.site,
        labels=len(labelled.slumps),
        chips=len(images),
        with_slumps=sum(bool(image.slumps) for image in images),
        slumps=sum(len(image.slumps) for image in images),
        ignored=sum(len(image.ignored) for image in images),
        hard_negatives=sum(len(image.hard_negatives) for image in images),
    )

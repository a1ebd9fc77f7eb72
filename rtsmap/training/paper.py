"""The experiments of Li et al. 2025: the networks in each of its tables, and their published scores."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from rtsmap.settings.network import PRESETS, NetworkConfig
from rtsmap.settings.training import TrainConfig

PAIR, ALL = ("rgb", "ndvi"), ("rgb", "ndvi", "nir")

#: The pair of modalities of the paper's table 5, for data sets with an elevation model.
TERRAIN_PAIR = ("rgb", "dem")

#: AP50 in per cent of the paper's network for RGB alone, the baseline of the fusions.
BASELINE = 39.73

#: Fusions of the paper's tables 3 and 4, and their AP50 in per cent with two and with three modalities.
FUSIONS: Mapping[str, tuple[str, float, float]] = {
    "channels": ("channel expansion", 42.74, 43.87),
    "convolution": ("convolution", 44.51, 45.45),
    "stacked": ("stacked attention", 44.53, 45.79),
    "cross": ("cross attention", 44.71, 46.72),
    "residual_convolution": ("residual convolution", 46.21, 47.62),
    "residual_stacked": ("residual stacked attention", 47.00, 47.69),
    "residual_cross": ("residual cross attention", 46.67, 48.99),
}

#: The fusions of table 3, and those of table 4.
COMPARED = ("channels", "convolution", "stacked", "cross", "residual_cross")
RESIDUAL = ("residual_convolution", "residual_stacked", "residual_cross")

#: Memory in MB of one sample in table 2, by the number of modalities and whether the backbones are frozen.
MEMORY = {(1, False): 1649, (2, False): 2527, (2, True): 1454, (3, False): 3361, (3, True): 1754}

#: AP50 in per cent on GeoImageNet: boxes of 6 classes, RGB and a rendered elevation model.
GEOIMAGENET = {
    "": ("RGB alone", 73.39),
    "channels": ("channel expansion", 82.88),
    "convolution": ("convolution", 85.28),
    "residual_convolution": ("residual convolution", 85.78),
    "residual_stacked": ("residual stacked attention", 86.50),
    "residual_cross": ("residual cross attention", 86.68),
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table of the paper.

    Attributes:
        row, column: names of its row and column.
        paper: AP50 that the paper reports, per cent.
        model: the network that is scored.
        paper_mb: memory that the paper reports, MB; None where it reports none.
    """

    row: str
    column: str
    paper: float
    model: "Recipe"
    paper_mb: int | None = None


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        network: sizes of the network.
        modalities: modalities that it takes.
        frozen: whether its backbones come from networks with one modality each, and are not trained.
    """

    network: NetworkConfig
    modalities: tuple[str, ...]
    frozen: bool = False

    @property
    def name(self) -> str:
        """Name of its folder, such as `rgb-ndvi_residual_cross_frozen_mvitv2_cascade`."""
        network = self.network
        several = [network.fusion, *(["frozen"] if self.frozen else [])] if len(self.modalities) > 1 else []
        outline = [] if network.masks else ["boxes"]
        return "_".join(["-".join(self.modalities), *several, network.backbone, network.decoder, *outline])

    @property
    def freeze(self) -> tuple[str, ...]:
        """Modalities whose backbones are not trained."""
        return self.modalities if self.frozen else ()

    @property
    def backbones(self) -> tuple["Recipe", ...]:
        """The networks that have to be trained before this one."""
        if not self.frozen:
            return ()
        return tuple(_alone(self.network, modality) for modality in self.modalities)

    def settings(
        self,
        settings: TrainConfig,
        backbones: Sequence[str] = (),
        *,
        cold: bool = False,
        starts: Mapping[str, str] = MappingProxyType({}),
    ) -> TrainConfig:
        """Return the settings of its training.

        Args:
            settings: settings of the experiment.
            backbones: folders of the trained networks of the property `backbones`.
            cold: how the second stage starts, see `stages.fusion_settings`.
            starts: checkpoints to start from, by backbone; networks with the backbone of `settings` otherwise start
                from the checkpoint of `settings`.
        """
        own = settings.start_from if self.network.backbone == settings.network.backbone else None
        started = starts.get(self.network.backbone, own)
        return settings.updated(
            network=self.network.model_dump(),
            modalities=self.modalities,
            backbones=tuple(backbones),
            freeze=self.freeze,
            start_from=None if backbones else started,
            decoder_from=(started if cold else backbones[0]) if backbones else None,
        )


def _alone(network: NetworkConfig, modality: str) -> Recipe:
    """Return a network with one modality, which is the same for every later fusion."""
    fusion = NetworkConfig.model_fields["fusion"].default
    return Recipe(network.model_copy(update={"fusion": fusion}), (modality,))


def cells(table: str, network: NetworkConfig, available: Collection[str] = ALL) -> list[Cell]:
    """Return the cells of a table.

    Args:
        table: `table1` (decoder and backbone by modality), `table2` (number of modalities, without and with training in
            two stages), `table3` and `table4` (fusions, and the residual ones, of two and of three modalities beside
            RGB alone), `table5` (fusions where only boxes are found, of RGB and elevation, or of RGB and NDVI where
            elevation is not available).
        network: sizes of the networks; those of the paper are the preset `mvitv2-b`.
        available: modalities of the data set.
    """
    if table == "table5":
        return _table5(network, TERRAIN_PAIR if "dem" in available else PAIR)
    return {"table1": _table1, "table2": _table2, "table3": _table3, "table4": _table4}[table](network)


def _table1(network: NetworkConfig) -> list[Cell]:
    single = network.model_copy(update={"decoder": "single"})
    resnet = PRESETS["resnet50"].model_copy(update={"classes": network.classes})  # with its own heads
    rows = (
        ("Mask R-CNN, ResNet50-FPN", resnet, (31.29, 12.78, 12.30)),
        (f"Mask R-CNN, {network.backbone}", single, (37.94, 13.57, 15.57)),
        (f"Cascade Mask R-CNN, {network.backbone}", network, (39.73, 15.30, 18.06)),
    )
    return [
        Cell(row, modality.upper(), paper, _alone(chosen, modality))
        for row, chosen, figures in rows
        for modality, paper in zip(ALL, figures, strict=True)
    ]


def _table2(network: NetworkConfig) -> list[Cell]:
    without, pretrained = "without pre-training", "with pre-training, frozen"
    found = [
        Cell("1 modality", without, 39.17, _alone(network, "rgb")),
        Cell("2 modalities", without, 45.97, Recipe(network, PAIR)),
        Cell("2 modalities", pretrained, 46.67, Recipe(network, PAIR, frozen=True)),
        Cell("3 modalities", without, 48.50, Recipe(network, ALL)),
        Cell("3 modalities", pretrained, 48.99, Recipe(network, ALL, frozen=True)),
    ]
    return [replace(cell, paper_mb=MEMORY[len(cell.model.modalities), cell.model.frozen]) for cell in found]


def _fusions(network: NetworkConfig, names: Sequence[str]) -> list[Cell]:
    found = [Cell("RGB alone", "RGB", BASELINE, _alone(network, "rgb"))]
    for fusion in names:
        row, *papers = FUSIONS[fusion]
        for modalities, paper in zip((PAIR, ALL), papers, strict=True):
            column = "+".join(modality.upper() for modality in modalities)
            found.append(Cell(row, column, paper, _fused(network, modalities, fusion)))
    return found


def _fused(network: NetworkConfig, modalities: tuple[str, ...], fusion: str) -> Recipe:
    # channel expansion has one backbone for all modalities, so it cannot come from a network with one modality
    return Recipe(network.model_copy(update={"fusion": fusion}), modalities, frozen=fusion != "channels")


def _table3(network: NetworkConfig) -> list[Cell]:
    return _fusions(network, COMPARED)


def _table4(network: NetworkConfig) -> list[Cell]:
    return _fusions(network, RESIDUAL)


def _table5(network: NetworkConfig, pair: tuple[str, ...]) -> list[Cell]:
    boxes = network.model_copy(update={"masks": False})
    column = f"{'+'.join(modality.upper() for modality in pair)}, boxes"
    return [
        Cell(name, column, paper, _fused(boxes, pair, fusion) if fusion else _alone(boxes, "rgb"))
        for fusion, (name, paper) in GEOIMAGENET.items()
    ]

"""Settings of the second training stage of Li et al. 2025: the fusion of networks that have one modality each."""

from collections.abc import Sequence
from pathlib import Path

from rtsmap.errors import ModelError
from rtsmap.models import SETTINGS, find_model
from rtsmap.settings.card import ModelCard
from rtsmap.settings.training import TrainConfig

#: Learning rate of the backbones relative to the rest of the network, if they are trained in the second stage.
THAWED_RATE = 0.1

#: Settings of the network that belong to the second stage; all others come from the first stage.
CHOSEN = frozenset({"fusion", "fusion_kv_grid", "fusion_window", "fusion_mlp_ratio", "fusion_norm"})


def fusion_settings(
    settings: TrainConfig | None,
    backbones: Sequence[Path],
    *,
    fusion: str | None = None,
    thaw: bool = False,
    cold: bool = False,
) -> TrainConfig:
    """Return the settings of the second stage.

    Args:
        settings: settings of the training; None for those that the first model was trained with.
        backbones: folders of models with one modality each, that of the query first.
        fusion: name of the fusion; None for that of `settings`.
        thaw: train the backbones too; without `settings` at a tenth of the learning rate.
        cold: start the feature pyramid, the proposals and the heads as the first stage did, from its published
            checkpoint or at random; otherwise they start from those of the query's model.

    Returns:
        The settings.

    Raises:
        ModelError: a folder contains no model, or a model with several modalities.
    """
    cards = [_card(folder) for folder in backbones]
    chosen = settings or _settings_of(backbones[0])
    modalities = tuple(card.input.modalities[0] for card in cards)
    network = cards[0].network.model_copy(update=chosen.network.model_dump(include=set(CHOSEN)))
    return chosen.updated(
        network={**network.model_dump(), **({"fusion": fusion} if fusion else {})},
        modalities=modalities,
        backbones=tuple(str(folder) for folder in backbones),
        freeze=() if thaw else modalities,
        backbone_rate=THAWED_RATE if thaw and not settings else chosen.backbone_rate,
        start_from=None,
        decoder_from=chosen.start_from if cold else str(backbones[0]),
    )


def _settings_of(folder: Path) -> TrainConfig:
    """Return the settings that a model was trained with, or the defaults if its folder does not contain them."""
    path = folder / SETTINGS
    return TrainConfig.from_toml(path) if path.exists() else TrainConfig(network=_card(folder).network)


def _card(folder: Path) -> ModelCard:
    card = find_model(str(folder))[1]
    if len(card.input.modalities) != 1:
        raise ModelError(f"{folder}: takes {'+'.join(card.input.modalities)}; give models with one modality each")
    return card

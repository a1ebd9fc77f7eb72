"""The two stages of Li et al. 2025: a network for each modality, then their fusion."""

from collections.abc import Sequence
from pathlib import Path

from rtsmap.config import ModelCard
from rtsmap.errors import ModelError
from rtsmap.models import SETTINGS, find_model
from rtsmap.train_config import TrainConfig


def fusion_settings(
    settings: TrainConfig | None, backbones: Sequence[Path], *, fusion: str | None = None, thaw: bool = False
) -> TrainConfig:
    """Settings of the second stage.

    Args:
        settings: without them those of the first model's own training.
        backbones: folders of models with one modality each, that of the query first.
        fusion: how modalities meet; without it as `settings` say.
        thaw: let the backbones learn too.

    Raises:
        ModelError: a folder holds no model, or one of several modalities.
    """
    cards = [_card(folder) for folder in backbones]
    if settings is None:
        path = backbones[0] / SETTINGS
        settings = TrainConfig.from_toml(path) if path.exists() else TrainConfig()
    modalities = tuple(card.input.modalities[0] for card in cards)
    network = cards[0].network.model_copy(update={"fusion": fusion or settings.network.fusion})
    return settings.updated(
        network=network.model_dump(),
        modalities=modalities,
        backbones=tuple(str(folder) for folder in backbones),
        freeze=() if thaw else modalities,
        start_from=None,
    )


def _card(folder: Path) -> ModelCard:
    card = find_model(str(folder))[1]
    if len(card.input.modalities) != 1:
        raise ModelError(f"{folder}: sees {'+'.join(card.input.modalities)}; give models of one modality each")
    return card

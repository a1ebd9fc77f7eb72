"""The two stages of Li et al. 2025: a network for each modality, then their fusion."""

from collections.abc import Sequence
from pathlib import Path

from rtsmap.errors import ModelError
from rtsmap.models import SETTINGS, find_model
from rtsmap.settings.card import ModelCard
from rtsmap.settings.training import TrainConfig

#: Of the backbones in the second stage, over that of the rest, where they learn too.
THAWED_RATE = 0.1

#: Settings of the network that the second stage chooses; the others are those of the first stage.
CHOSEN = frozenset({"fusion", "fusion_kv_grid", "fusion_window", "fusion_mlp_ratio", "fusion_norm"})


def fusion_settings(
    settings: TrainConfig | None,
    backbones: Sequence[Path],
    *,
    fusion: str | None = None,
    thaw: bool = False,
    cold: bool = False,
) -> TrainConfig:
    """Settings of the second stage.

    Args:
        settings: without them those of the first model's own training.
        backbones: folders of models with one modality each, that of the query first.
        fusion: how modalities meet; without it as `settings` say.
        thaw: let the backbones learn too; without `settings` at a tenth of the learning rate.
        cold: begin feature pyramid, proposals and heads as the first stage did, from the published checkpoint if there
            was one, else at random; without it they are those of the query's model.

    Raises:
        ModelError: a folder holds no model, or one of several modalities.
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
    """Those of a model's own training; the default where it does not tell them."""
    path = folder / SETTINGS
    return TrainConfig.from_toml(path) if path.exists() else TrainConfig(network=_card(folder).network)


def _card(folder: Path) -> ModelCard:
    card = find_model(str(folder))[1]
    if len(card.input.modalities) != 1:
        raise ModelError(f"{folder}: sees {'+'.join(card.input.modalities)}; give models of one modality each")
    return card

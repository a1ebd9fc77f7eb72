"""Writing of the model directory at the end of a training run."""

from collections.abc import Mapping
from pathlib import Path

from rtsmap.dataset.images import Dataset
from rtsmap.files.writing import replacing, sha256
from rtsmap.models import CARD, SETTINGS
from rtsmap.network.checkpoint import save_weights
from rtsmap.network.pretrained import WEIGHTS
from rtsmap.settings.card import InputConfig, ModelCard, TrainingRecord
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.training import TrainConfig
from rtsmap.training.run import Run

#: Score threshold of a new model, until `rtsmap evaluate chips --tune` finds a better one.
SCORE_THRESHOLD = 0.5


def draft_card(config: TrainConfig, inputs: InputConfig, name: str = "draft") -> ModelCard:
    """Return the card of a network whose weights are not written yet."""
    return ModelCard(
        name=name,
        version="0.0.1",
        summary=_summary(config.network, config.modalities),
        licence="unknown",
        attribution="unknown",
        sites_trained_on=(),
        sha256="",
        score_threshold=SCORE_THRESHOLD,
        input=inputs,
        network=config.network,
    )


def publish(
    run: Run,
    inputs: InputConfig,
    dataset: Dataset,
    validation: Dataset | None,
    unlabelled: Dataset | None,
    folder: Path,
) -> ModelCard:
    """Write the weights, the cards and the settings; the author completes `licence` and `attribution`."""
    step, ap50, weights = run.best or (run.step, None, run.average.state_dict())
    save_weights(dict(weights), folder / WEIGHTS)
    card = draft_card(run.config, inputs, folder.resolve().name).model_copy(
        update={
            "sites_trained_on": dataset.sites,
            "sha256": sha256(folder / WEIGHTS),
            "training": TrainingRecord(
                images=len(dataset.images),
                slumps=dataset.slumps,
                iterations=run.step,
                best_iteration=step,
                precision=run.precision,
                validated_on=validation.sites if validation else (),
                validation_images=len(validation.images) if validation else 0,
                validation_slumps=validation.slumps if validation else 0,
                validation_ap50=None if ap50 is None else round(ap50, 4),
                unlabelled_sites=unlabelled.sites if unlabelled else (),
                unlabelled_images=len(unlabelled.images) if unlabelled else 0,
            ),
        }
    )
    run.config.to_toml(folder / SETTINGS)
    with replacing(folder / "card.md") as temporary:
        temporary.write_text(_page(card, dataset, validation, unlabelled), encoding="utf-8")
    card.to_toml(folder / CARD)
    return card


def _summary(network: NetworkConfig, modalities: tuple[str, ...]) -> str:
    decoder = {"cascade": "Cascade", "single": ""}[network.decoder]
    kind = f"{decoder} {'Mask' if network.masks else 'Faster'} R-CNN".strip()
    size = f" ({network.embed_dim} channels, {network.depth} blocks)" if network.backbone == "mvitv2" else ""
    fusion = f", fusion {network.fusion}" if len(modalities) > 1 else ""
    return f"{kind}, {network.backbone}{size}, {'+'.join(modalities)}{fusion}"


def _page(card: ModelCard, dataset: Dataset, validation: Dataset | None, unlabelled: Dataset | None) -> str:
    """Return the text of `card.md`, the description of the model for its users."""
    record = card.training
    assert record is not None
    parts = ((dataset, "training"), (validation, "validation"), (unlabelled, "without labels"))
    rows = [row for part, role in parts if part for row in _rows(part, role)]
    chosen = (
        "the last weights; nothing was validated"
        if record.validation_ap50 is None
        else f"those of iteration {record.best_iteration}, AP50 {record.validation_ap50:.1%} on the validation images, "
        "which is an optimistic estimate, because it chose them"
    )
    what = "reflectance and terrain (`--dem`)" if "dem" in card.input.modalities else "reflectance"
    return "\n".join(
        [
            f"# {card.name} {card.version}",
            "",
            f"{card.summary}. Input: {what} at {card.input.gsd_m:g} m, chips of {card.input.chip_size} px.",
            "",
            "| site | role | images | slumps |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Weights: {chosen}. {record.iterations} iterations; all settings are in `training.toml`.",
            "",
            "Licence and attribution: to be completed, here and in `model.toml`. Scores are not calibrated;",
            "`rtsmap evaluate chips --calibrate --tune` makes them probabilities and sets the threshold, from images",
            "that were not trained on.",
            "",
        ]
    )


def _rows(dataset: Dataset, role: str) -> list[str]:
    counts: Mapping[str, list[int]] = {site: [0, 0] for site in dataset.sites}
    for image in dataset.images:
        counts[image.site][0] += 1
        counts[image.site][1] += len(image.slumps)
    return [f"| {site} | {role} | {images} | {slumps} |" for site, (images, slumps) in counts.items()]

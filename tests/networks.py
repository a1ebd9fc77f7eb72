"""A network small enough for tests, real in every part."""

from pathlib import Path

from rtsmap.files.writing import sha256
from rtsmap.settings.card import InputConfig, ModelCard
from rtsmap.settings.network import NetworkConfig
from rtsmap.settings.training import TrainConfig

TINY = NetworkConfig(
    embed_dim=8,
    depth=4,
    last_blocks=(0, 1, 2, 3),
    window_size=8,
    fusion_kv_grid=4,
    fusion_window=8,
    proposals=100,
    proposal_score=0.0,
    fpn_channels=16,
    fc_dim=16,
    mask_convs=1,
    drop_path=0.0,
)

TINY_TRAINING = TrainConfig(
    network=TINY.model_copy(update={"proposals": 20}),  # outlines of random networks are slow to compare
    training_chip_size=64,
    chip_size=64,
    overlap=16,
    gsd_m=10.0,
    gsd_range_m=(8.0, 12.0),
    iterations=4,
    batch_size=2,
    warmup=1,
    validate_every=0.5,
    checkpoint_every=2,
    workers=0,
    precision="float32",  # on any machine
)

MEAN = {"red": 0.06, "green": 0.06, "blue": 0.04, "ndvi": 0.5, "nir": 0.25}
STD = {"red": 0.04, "green": 0.03, "blue": 0.03, "ndvi": 0.3, "nir": 0.1}


def write_model(folder: Path, *, score: float = 0.0, gsd_m: float = 3.0, network: NetworkConfig = TINY) -> Path:
    """A model folder with random weights, always the same."""
    from rtsmap.network.cascade import seeded_network
    from rtsmap.network.checkpoint import save_weights

    folder.mkdir(parents=True)
    modalities = ("rgb", "ndvi", "nir")
    save_weights(seeded_network(network, modalities, seed=1).state_dict(), folder / "weights.safetensors")
    card = ModelCard(
        name=folder.name,
        version="1.0.0",
        summary="random weights for tests",
        licence="Apache-2.0",
        attribution="none",
        sites_trained_on=("nowhere",),
        sha256=sha256(folder / "weights.safetensors"),
        score_threshold=score,
        input=InputConfig(
            modalities=modalities,
            gsd_m=gsd_m,
            gsd_range_m=(gsd_m * 0.8, gsd_m * 1.2),
            chip_size=64,
            overlap=16,
            mean=MEAN,
            std=STD,
        ),
        network=network,
    )
    card.to_toml(folder / "model.toml")
    return folder

"""Weights on disk, as safetensors: nothing is ever unpickled from a file that somebody else made."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rtsmap.errors import ModelError
from rtsmap.files import replacing


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights in half precision, which halves the file; their rounding is far below the noise of training."""
    halved = {name: value.detach().cpu().half().contiguous() for name, value in weights.items()}
    with replacing(path) as temporary:
        save_file(halved, temporary)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a file.

    Raises:
        ModelError: the file cannot be read, or was made for another architecture.
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file ({error})") from error
    expected = {name: value.shape for name, value in network.state_dict().items()}
    if wrong := sorted(expected.keys() ^ weights.keys()):
        raise ModelError(f"{path}: was made for another architecture (tensor {wrong[0]}, {len(wrong)} in all)")
    if wrong := sorted(name for name, shape in expected.items() if weights[name].shape != shape):
        raise ModelError(f"{path}: was made for another architecture (tensor {wrong[0]} has another size)")
    network.load_state_dict({name: value.to(torch.float32) for name, value in weights.items()})

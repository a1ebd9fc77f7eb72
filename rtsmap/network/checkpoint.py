"""Weights on disk, as safetensors: nothing is ever unpickled from a file that somebody else made."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rtsmap.errors import ModelError
from rtsmap.files.writing import replacing


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights in half precision, which halves the file; their rounding is far below the noise of training."""
    halved = {name: _halved(value.detach().cpu()).contiguous() for name, value in weights.items()}
    with replacing(path) as temporary:
        save_file(halved, temporary)
        temporary.chmod(0o644)  # safetensors lets nobody else read it, and models are shared


def _halved(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value  # batch norms count in integers


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
    network.load_state_dict(weights)  # which gives each tensor the network's own precision

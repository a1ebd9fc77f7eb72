"""Reading and writing of weights as safetensors, so that files from elsewhere are never unpickled."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rtsmap.errors import ModelError
from rtsmap.files.writing import replacing


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights in half precision, which halves the file; the rounding error is far below the noise of training."""
    halved = {name: _halved(value.detach().cpu()).contiguous() for name, value in weights.items()}
    with replacing(path) as temporary:
        save_file(halved, temporary)
        temporary.chmod(0o644)  # safetensors makes the file readable by its owner only, and models are shared


def _halved(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value  # the counters of batch normalisation are integers


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the weights of a file into a network.

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
    network.load_state_dict(weights)  # converts each tensor to the precision of the network

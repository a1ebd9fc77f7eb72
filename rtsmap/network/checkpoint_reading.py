"""Safe reading of checkpoints from elsewhere in several formats, without running code that a file may contain."""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from rtsmap.errors import ModelError

#: Keys of the weights in checkpoints of detectron2, of pycls and MViT, and of PyTorch Lightning.
WRAPPERS = ("model", "model_state", "state_dict")

#: All names that pickles of numpy arrays in plain containers use, with the modules of numpy 2; `_frombuffer` since
#: protocol 5.
ARRAY_GLOBALS = frozenset(
    {
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
    }
)


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays and plain containers, and refuses a file that names any other class or function."""

    def find_class(self, module: str, name: str) -> Any:
        module = re.sub(r"^numpy\.core\.", "numpy._core.", module)  # the name of the module before numpy 2
        if (module, name) not in ARRAY_GLOBALS:
            raise _UnsafeError(f"{module}.{name}")
        return super().find_class(module, name)


class _UnsafeError(Exception):
    """A pickle names a class or function that is not allowed; the message is its name."""


def _read_pickle(path: Path) -> object:
    with path.open("rb") as file:
        return _ArraysOnly(file, encoding="latin1").load()  # latin1 is needed for numpy arrays pickled by Python 2


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := re.search(r"GLOBAL (\w+(\.\w+)+)", str(error)):
            raise _UnsafeError(named[1]) from error
        raise


READERS: Mapping[str, Callable[[Path], object]] = {
    ".safetensors": load_file,
    ".pkl": _read_pickle,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".pyth": _read_torch,
}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, by their names in the file, in single precision; no code in the file is run.

    Args:
        path: a safetensors file, `.pth`, `.pt` or `.pyth` of PyTorch, or `.pkl` of detectron2 with numpy arrays.

    Raises:
        ModelError: the file is missing or damaged, contains no weights, or names classes that weights do not need.
    """
    if (reader := READERS.get(path.suffix.lower())) is None:
        raise ModelError(f"{path}: is not a checkpoint by its name; give a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the checkpoint that you downloaded")
    try:
        weights = _weights(reader(path))
    except _UnsafeError as error:
        raise ModelError(
            f"{path}: refused, because it names {error}, which weights do not need and which could run code; "
            "get the checkpoint from its publisher"
        ) from error
    except Exception as error:  # a damaged file may raise any error
        raise ModelError(f"{path}: is damaged or no checkpoint ({type(error).__name__}); download it again") from error
    if not weights:
        raise ModelError(f"{path}: contains no weights; give a checkpoint with named tensors")
    return weights


def _weights(content: object) -> dict[str, Tensor]:
    """Return the named floating point arrays, without counters of batches, schedules and the like."""
    for _ in range(2):  # a wrapper may contain another
        if isinstance(content, Mapping):
            content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    weights = {}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Tensor) and value.is_floating_point():
            weights[str(name)] = value.detach().float()
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            weights[str(name)] = torch.from_numpy(np.array(value, dtype=np.float32))
    return weights

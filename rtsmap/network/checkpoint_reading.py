"""Reads checkpoints that others made, in whatever format, without running code that a file may hold."""

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

#: Keys under which the weights lie: detectron2's, pycls' and MViT's, PyTorch Lightning's.
WRAPPERS = ("model", "model_state", "state_dict")

#: All that pickled numpy arrays in plain containers name, by numpy 2's modules; `_frombuffer` since protocol 5.
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
    """Makes numpy arrays and plain containers, and refuses a file that names anything else."""

    def find_class(self, module: str, name: str) -> Any:
        module = re.sub(r"^numpy\.core\.", "numpy._core.", module)  # its name before numpy 2
        if (module, name) not in ARRAY_GLOBALS:
            raise _UnsafeError(f"{module}.{name}")
        return super().find_class(module, name)


class _UnsafeError(Exception):
    """A pickle names what it should not; the message is that name."""


def _read_pickle(path: Path) -> object:
    with path.open("rb") as file:
        return _ArraysOnly(file, encoding="latin1").load()  # latin1: numpy arrays of Python 2


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
    """The weights of a checkpoint in single precision, by its own names; no code in the file is run.

    Args:
        path: safetensors, PyTorch's `.pth`, `.pt` or `.pyth`, or detectron2's `.pkl` of numpy arrays.

    Raises:
        ModelError: the file is missing or damaged, holds no weights, or names classes that weights do not need.
    """
    if (reader := READERS.get(path.suffix.lower())) is None:
        raise ModelError(f"{path}: is not a checkpoint by its name; give a file that ends in {', '.join(READERS)}")
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the checkpoint that you downloaded")
    try:
        weights = _weights(reader(path))
    except _UnsafeError as error:
        raise ModelError(
            f"{path}: refused, for it names {error}, which weights do not need and which could run code; "
            "get the checkpoint from its publisher"
        ) from error
    except Exception as error:  # a damaged file may break its reader anywhere
        raise ModelError(f"{path}: is damaged or no checkpoint ({type(error).__name__}); download it again") from error
    if not weights:
        raise ModelError(f"{path}: holds no weights; give a checkpoint with named tensors")
    return weights


def _weights(content: object) -> dict[str, Tensor]:
    """Named arrays of floating point; counters of batches, schedules and the like are left."""
    for _ in range(2):  # a wrapper may hold another
        if isinstance(content, Mapping):
            content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    weights = {}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Tensor) and value.is_floating_point():
            weights[str(name)] = value.detach().float()
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            weights[str(name)] = torch.from_numpy(np.array(value, dtype=np.float32))
    return weights

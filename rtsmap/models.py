"""The registry of models: those that come with rtsmap, and any folder with a `model.toml`."""

import os
from collections.abc import Iterator
from pathlib import Path

from rtsmap.errors import InputError, ModelError
from rtsmap.files.writing import sha256
from rtsmap.settings.card import ModelCard

DEFAULT_MODEL = "rts-mini"
CARD = "model.toml"

#: Settings that a model was trained with, beside its card.
SETTINGS = "training.toml"

#: A folder of models of one's own, searched before those that come with rtsmap.
SEARCH_VARIABLE = "RTSMAP_MODELS"


def search_folders() -> list[Path]:
    """Where models are looked for: the user's folder, those inside an installed package, those of a checkout."""
    package = Path(__file__).parent
    own = [Path(folder) for folder in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if folder]
    return [*own, package / "_models", package.parent / "models"]


def list_models() -> Iterator[tuple[Path, ModelCard]]:
    """Folder and card of every model, by name; of two with one name the first found counts.

    Raises:
        ModelError: a card is wrong.
    """
    folders: dict[str, Path] = {}
    for card in _cards():
        folders.setdefault(card.parent.name, card.parent)
    for name in sorted(folders):
        yield folders[name], _card_of(folders[name])


def find_model(name: str) -> tuple[Path, ModelCard]:
    """Folder and card of a model, by its name or the path of its folder.

    Raises:
        ModelError: there is no such model, or its card is wrong.
    """
    candidates = [Path(name), *(folder / name for folder in search_folders())]
    for folder in candidates:
        if _is_file(folder / CARD):
            return folder, _card_of(folder)
    known = ", ".join(sorted({card.parent.name for card in _cards()})) or "none"
    raise ModelError(f"{name}: no such model; there are {known}, or give a folder that holds a {CARD}")


def model_files(folder: Path, card: ModelCard) -> list[Path]:
    """The files that a model is read from, whether they are there or not."""
    names = (CARD, card.weights, SETTINGS, *([card.onnx.file] if card.onnx else []))
    return [folder / name for name in names]


def verify(folder: Path, card: ModelCard) -> None:
    """Check that the weights, and the ONNX file where there is one, are those that the card speaks of.

    Raises:
        ModelError: they are missing or different.
    """
    _verify_file(folder / card.weights, card.sha256, "fetch the model again")
    if card.onnx:
        again = f"make it again: rtsmap export onnx {folder} --overwrite"
        _verify_file(folder / card.onnx.file, card.onnx.sha256, again)


def _cards() -> Iterator[Path]:
    for parent in search_folders():
        yield from sorted(parent.glob(f"*/{CARD}"))


def _card_of(folder: Path) -> ModelCard:
    try:
        return ModelCard.from_toml(folder / CARD)
    except InputError as error:
        raise ModelError(str(error)) from error


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one, such as one too long, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _verify_file(file: Path, expected: str, advice: str) -> None:
    if not _is_file(file):
        raise ModelError(f"{file}: is missing; {advice}")
    try:
        found = sha256(file)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    if found != expected:
        raise ModelError(
            f"{file}: is not what {CARD} describes (SHA-256 {found[:12]}..., expected {expected[:12]}...); {advice}"
        )

"""The registry of models: those that come with rtsmap, and any folder with a `model.toml`."""

import os
from collections.abc import Iterator
from pathlib import Path

from rtsmap.errors import InputError, ModelError
from rtsmap.files.writing import sha256
from rtsmap.settings.card import ModelCard

DEFAULT_MODEL = "rts-mini"
CARD = "model.toml"

#: Settings with which a model was trained, beside its card.
SETTINGS = "training.toml"

#: Environment variable with folders of the user's models, which are searched before those that come with rtsmap.
SEARCH_VARIABLE = "RTSMAP_MODELS"


def search_folders() -> list[Path]:
    """Folders that are searched for models: the user's, that of the installed package, and that of a checkout."""
    package = Path(__file__).parent
    own = [Path(folder) for folder in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if folder]
    return [*own, package / "_models", package.parent / "models"]


def list_models() -> Iterator[tuple[Path, ModelCard]]:
    """Folder and card of every model, sorted by name; of two models with the same name only the first found is listed.

    Raises:
        ModelError: a card is wrong.
    """
    folders: dict[str, Path] = {}
    for card in _cards():
        folders.setdefault(card.parent.name, card.parent)
    for name in sorted(folders):
        yield folders[name], _card_of(folders[name])


def find_model(name: str) -> tuple[Path, ModelCard]:
    """Find the folder and the card of a model by its name or the path of its folder.

    Raises:
        ModelError: there is no such model, or its card is wrong.
    """
    candidates = [Path(name), *(folder / name for folder in search_folders())]
    for folder in candidates:
        if _is_file(folder / CARD):
            return folder, _card_of(folder)
    known = ", ".join(sorted({card.parent.name for card in _cards()})) or "none"
    raise ModelError(f"{name}: no such model; give one of {known}, or a folder that holds a {CARD}")


def model_files(folder: Path, card: ModelCard) -> list[Path]:
    """The files from which a model is read, whether they exist or not."""
    names = (CARD, card.weights, SETTINGS, *([card.onnx.file] if card.onnx else []))
    return [folder / name for name in names]


def verify(folder: Path, card: ModelCard) -> None:
    """Check that the weights, and the ONNX file if there is one, are those that the card describes.

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
    """Whether there is such a file; false for a name that is not possible, such as one that is too long."""
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

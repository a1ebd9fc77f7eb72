"""Typed groups of settings that are read from and written to TOML, and that reject unknown keys."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rtsmap.errors import InputError
from rtsmap.files.writing import replacing

Modality = Literal["rgb", "ndvi", "nir", "dem"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A group of settings; misspelt keys and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read and check a TOML file.

        Raises:
            InputError: the file is missing, is not TOML, or has unknown or wrong values.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise InputError(f"{path}: {_first_of(error)}") from error
        except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, huge integers, deep nesting
            raise InputError(f"{path}: is not valid TOML ({error})") from error

    def updated(self, **values: object) -> Self:
        """Return a checked copy with other values.

        Raises:
            InputError: a value is wrong.
        """
        try:
            return self.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            raise InputError(_first_of(error)) from error

    def changed(self, changes: Sequence[str]) -> Self:
        """Return a checked copy with single settings changed.

        Args:
            changes: changes such as `iterations=500` or `network.fusion=cross`, with a name and a TOML value; text
                needs no quotes. Without a value, as in `start_from=`, the setting is unset.

        Raises:
            InputError: a change does not have the form NAME=VALUE, its name is not a setting, or its value is wrong.
        """
        values = self.model_dump()
        for change in changes:
            name, equals, text = change.partition("=")
            *sections, key = name.strip().split(".")
            table = values
            for section in sections:
                table = table[section] if isinstance(table.get(section), dict) else table.setdefault(name, {})
            if not equals:
                raise InputError(f"{change}: needs the form NAME=VALUE, such as iterations=500")
            table[key] = _toml_value(text.strip())
        return self.updated(**values)

    def to_toml(self, path: Path) -> None:
        """Write the settings to a TOML file, which is either complete or not written at all."""
        with replacing(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


def _first_of(error: ValidationError) -> str:
    """Return one line with the first error; unknown keys come first, because a misspelt key is also a missing one."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: is not a setting; check its spelling"
    return f"{key or 'the settings'}: {first['msg'].removeprefix('Value error, ')}"


def _toml_value(text: str) -> object:
    if not text:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text

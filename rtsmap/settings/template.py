"""Settings as a TOML file with a comment above each, to be edited."""

import json
import textwrap
from collections.abc import Iterator

from rtsmap.settings.section import Section

WIDTH = 110


def commented(settings: Section, heading: str = "") -> str:
    """All settings with their values; those that are not set stand in a comment."""
    return "\n".join(_lines(settings, heading)) + "\n"


def _lines(settings: Section, heading: str) -> Iterator[str]:
    if heading:
        yield f"\n[{heading}]"
    sections: list[tuple[str, Section]] = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Section):  # TOML has them after all plain values
            sections.append((name, value))
            continue
        text = " ".join((field.description or "").split())
        yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH))
        plain = settings.model_dump(mode="json", include={name})[name]
        # of text, numbers, truth values and lists of them JSON's form is TOML's, on one line each
        yield f"# {name} =" if plain is None else f"{name} = {json.dumps(plain)}"
    for name, section in sections:
        yield from _lines(section, f"{heading}.{name}".lstrip("."))

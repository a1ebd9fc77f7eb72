"""A template of settings for editing: a TOML file with a comment above each setting."""

import json
import textwrap
from collections.abc import Iterator

from rtsmap.settings.section import Section

WIDTH = 110


def commented(settings: Section, heading: str = "") -> str:
    """Return all settings with their values as TOML; settings without a value are commented out."""
    return "\n".join(_lines(settings, heading)) + "\n"


def _lines(settings: Section, heading: str) -> Iterator[str]:
    if heading:
        yield f"\n[{heading}]"
    sections: list[tuple[str, Section]] = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Section):  # tables follow all plain values in TOML
            sections.append((name, value))
            continue
        text = " ".join((field.description or "").split())
        yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH))
        plain = settings.model_dump(mode="json", include={name})[name]
        # JSON and TOML write text, numbers, booleans and lists of them in the same way
        yield f"# {name} =" if plain is None else f"{name} = {json.dumps(plain)}"
    for name, section in sections:
        yield from _lines(section, f"{heading}.{name}".lstrip("."))

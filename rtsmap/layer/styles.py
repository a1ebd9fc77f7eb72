"""QGIS styles of the layers: the files in `rtsmap/styles`, completed with the aliases of the fields."""

from importlib import resources
from xml.sax.saxutils import quoteattr

from rtsmap.layer.tables import LAYERS

_PLACEHOLDER = "  <aliases/>\n"


def style_of(layer: str) -> str:
    """The QML text of a layer's style.

    Args:
        layer: name of a file in `rtsmap/styles`, without its suffix.

    Returns:
        The file; if it leaves its aliases open, with those of the layer's fields.
    """
    text = resources.files("rtsmap").joinpath("styles", f"{layer}.qml").read_text(encoding="utf-8")
    return text.replace(_PLACEHOLDER, _aliases(layer)) if _PLACEHOLDER in text else text


def _aliases(layer: str) -> str:
    names = [("fid", ""), *((field.name, field.alias) for field in LAYERS[layer])]
    lines = (
        f'    <alias field="{name}" index="{index}" name={quoteattr(alias)}/>\n'
        for index, (name, alias) in enumerate(names)
    )
    return f"  <aliases>\n{''.join(lines)}  </aliases>\n"

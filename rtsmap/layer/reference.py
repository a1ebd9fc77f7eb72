"""The tables of fields in `docs/guide/layer.md`, made from the records.

python -m rtsmap.layer.reference docs/guide/layer.md
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rtsmap.fields import LayerField
from rtsmap.layer.tables import LAYERS

_HEAD = "| Field | Type | Unit | Meaning | Since |\n|---|---|---|---|---|\n"


def with_tables(page: str) -> str:
    """A page with the table of every layer between `<!-- fields of LAYER -->` and `<!-- end of fields -->`.

    Args:
        page: Markdown text with these two lines for each layer; what lies between them is replaced.

    Raises:
        ValueError: the lines of a layer are missing.
    """
    for layer, fields in LAYERS.items():
        start, end = f"<!-- fields of {layer} -->\n", "<!-- end of fields -->"
        before, _, rest = page.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the page has no lines {start.strip()} and {end}")
        page = f"{before}{start}\n{_table(fields)}\n{end}{after}"
    return page


def _table(fields: Sequence[LayerField]) -> str:
    return _HEAD + "".join(
        f"| `{one.name}` | {one.type_name} | {one.unit} | {one.description} | {one.since} |\n" for one in fields
    )


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")

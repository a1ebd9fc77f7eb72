import re
from pathlib import Path

import pytest

from rtsmap.cli.reference import reference
from rtsmap.layer import OBSERVED_FIELDS, SLUMP_FIELDS
from rtsmap.layer.reference import with_tables

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("models/**/*.md")]
)


def test_the_command_line_reference_is_that_of_the_code():
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run: make docs"


def test_the_tables_of_the_layer_are_those_of_the_code():
    text = (ROOT / "docs" / "layer.md").read_text()
    assert text == with_tables(text), "run: make docs"
    assert [name for name in (*SLUMP_FIELDS, *OBSERVED_FIELDS) if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_names_the_two_commands_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_lock_pins_every_package_by_hash_and_names_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    requirements = re.findall(r"^[a-z0-9][^ \n]*==[^\n]*\\\n +--hash=sha256:", lock, re.MULTILINE | re.IGNORECASE)
    assert len(requirements) == len(re.findall(r"^[a-z0-9][^ \n]*==", lock, re.MULTILINE | re.IGNORECASE)) > 50

"""The demonstration: a real scene that comes with rtsmap."""

from pathlib import Path

SITE = "taimyr"


def example_folder() -> Path:
    """Folder of the scene of the demonstration: in the installed package, or in the checkout."""
    package = Path(__file__).parent
    installed = package / "_examples" / SITE
    return installed if installed.is_dir() else package.parent / "examples" / SITE

"""What one would write with other libraries, run by the benchmarks in an environment of its own.

    uv venv build/peers --python 3.11
    uv pip install --python build/peers -e '.[train]' sahi torchgeo detectree2 scikit-image imagecodecs 'setuptools<81'

detectree2 expects detectron2 and its `pkg_resources`; sahi asks for the two image libraries when Pillow cannot read a
TIFF. Each module is called as their documentation shows it, and writes one line of JSON.
"""

INSTALL = (
    "uv venv build/peers --python 3.11 && uv pip install --python build/peers -e '.[train]' "
    "sahi torchgeo detectree2 scikit-image imagecodecs 'setuptools<81'"
)

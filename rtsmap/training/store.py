"""A cache of the pixels of a data set, of limited size."""

from collections import OrderedDict

from rtsmap.dataset.images import Dataset
from rtsmap.dataset.pixels import pixels_of
from rtsmap.records import Pixels

#: Size of the cache of each process that makes chips.
MAX_BYTES = 1 << 30


class PixelStore:
    """A cache of the pixels of images, from which the least recently used image is removed first.

    Args:
        dataset: the data set; its images are requested by their index.
        max_bytes: size of the cache, bytes; the most recently requested image is kept whatever its size.
    """

    def __init__(self, dataset: Dataset, max_bytes: int = MAX_BYTES) -> None:
        self._dataset, self._max_bytes, self._bytes = dataset, max_bytes, 0
        self._kept: OrderedDict[int, Pixels] = OrderedDict()

    def __getitem__(self, number: int) -> Pixels:
        """Return the pixels of an image, from the cache or from the file."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        pixels = pixels_of(self._dataset.folder, self._dataset.images[number])
        self._kept[number] = pixels
        self._bytes += _size(pixels)
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return pixels

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a copy in another process, whose cache starts empty."""
        return {**vars(self), "_kept": OrderedDict(), "_bytes": 0}


def _size(pixels: Pixels) -> int:
    terrain = 0 if pixels.terrain is None else pixels.terrain.nbytes
    return pixels.reflectance.nbytes + pixels.valid.nbytes + terrain

"""Data sets of labelled images: building, importing, splitting, checking and reading them."""

from rtsmap.dataset.images import Dataset as Dataset
from rtsmap.dataset.images import Label as Label
from rtsmap.dataset.images import LabelledImage as LabelledImage
from rtsmap.dataset.images import read_dataset as read_dataset

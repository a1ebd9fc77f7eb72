"""Data sets: labelled images on disk, how they are made, split and checked."""

from rtsmap.dataset.images import Dataset as Dataset
from rtsmap.dataset.images import Label as Label
from rtsmap.dataset.images import LabelledImage as LabelledImage
from rtsmap.dataset.images import read_dataset as read_dataset

"""Training: labelled scenes, augmented chips, the loop, and the model directory that `predict` takes."""

from rtsmap.network import compat as compat  # must come before any import of detectron2

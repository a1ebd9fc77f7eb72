"""Training: labelled scenes, augmented chips, the loop, and the model directory that `predict` takes."""

from rtsmap.network import compat as compat  # before anything of detectron2

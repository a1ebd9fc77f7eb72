"""The network; the only package that depends on the internals of torch and detectron2."""

from rtsmap.network import compat as compat  # must come before any import of detectron2

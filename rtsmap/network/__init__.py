"""The network, and the only place that knows the insides of torch and detectron2."""

from rtsmap.network import compat as compat  # before anything of detectron2

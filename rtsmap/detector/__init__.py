"""What `predict` talks to: a detector takes chips and gives boxes, scores and masks."""

from rtsmap.detector.base import Detector as Detector
from rtsmap.detector.base import Runtime as Runtime
from rtsmap.detector.base import load_detector as load_detector

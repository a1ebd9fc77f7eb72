"""What `predict` talks to: a detector takes chips and gives boxes, scores and masks."""

from rtsmap.detector.loading import Runtime as Runtime
from rtsmap.detector.loading import load_detector as load_detector
from rtsmap.detector.protocol import Detector as Detector

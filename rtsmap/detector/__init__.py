"""Detectors: they take chips and return boxes, scores and masks."""

from rtsmap.detector.loading import Runtime as Runtime
from rtsmap.detector.loading import build_detector as build_detector
from rtsmap.detector.protocol import Detector as Detector

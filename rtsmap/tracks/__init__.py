"""Slumps through time: from layers of several years to tracks, events, rates and growth."""

from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.run import Summary, track_layers

__all__ = ["Summary", "TrackOptions", "track_layers"]

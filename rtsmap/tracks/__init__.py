"""Time series of thaw slumps: tracks, events, growth rates and headwall retreat from the layers of several years."""

from rtsmap.tracks.options import TrackOptions
from rtsmap.tracks.run import Summary, track_layers

__all__ = ["Summary", "TrackOptions", "track_layers"]

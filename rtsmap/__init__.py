"""Map retrogressive thaw slumps from satellite scenes."""

__version__ = "0.1.0"

"""Map retrogressive thaw slumps from satellite scenes."""

import os

__version__ = "0.1.0"

# ONNX Runtime writes an identifier of the machine and a store of events into the home folder, to be sent to its makers.
# It decides when it is imported; nothing of rtsmap tells anybody what was mapped.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

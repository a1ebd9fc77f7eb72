"""Files and folders on disk: checks of inputs and outputs, atomic writing, and reading of JSON."""

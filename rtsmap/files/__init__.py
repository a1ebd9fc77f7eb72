"""Files and folders on disk: what may be written, written whole or not at all, and what is read from them."""

"""Typed settings that are read from and written to TOML: networks, model cards and training."""

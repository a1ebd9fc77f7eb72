"""Measurements, one command each: `python -m benchmarks.NAME`. Their last tables are in docs/."""

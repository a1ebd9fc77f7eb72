"""Evaluations for `benchmarks.tracks`: links and events, rates, and the time and memory that tracks need."""

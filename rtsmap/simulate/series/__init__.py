"""Simulated series: scenes of the same area in several years."""

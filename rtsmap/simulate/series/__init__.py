"""Simulated series: the same place in several years."""

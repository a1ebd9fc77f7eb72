"""Pixels of a simulated scene: background, slumps, streams and clouds."""

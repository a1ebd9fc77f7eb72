"""Chips: the grid of overlapping windows that covers a scene, and reading them."""

"""Terrain of a simulated scene: random fields, regions, hills, lakes and streams."""

"""Simulated PlanetScope products on disk: images, metadata and true outlines."""

"""Simulated PlanetScope scenes with known thaw slumps."""

"""Simulated slumps and their look-alikes: outlines and locations."""

"""Simulated slumps and their look-alikes: outlines and where they lie."""

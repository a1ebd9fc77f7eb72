"""Scoring a model or a layer against outlines drawn by people."""

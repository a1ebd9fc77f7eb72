"""How good a layer is, against published outlines."""

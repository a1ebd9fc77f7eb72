"""How good a model or a layer is, against outlines drawn by people."""

"""How fast each block changes, measured on full runs: curves, lines of scale and shift, and their files."""

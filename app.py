"""HGC Studio: opens the page at once and loads the model meanwhile. Run `python app.py`; --help names the options."""

import os
import sys

from hgc.history import place_of
from hgc.ui import build, first_view, loader_here, runs_at, serve

options = sys.argv[1:]
loader = loader_here("--graphs" in options, runs_at(os.environ, options))
demo = build(loader, place_of(os.environ, "--no-history" in options), first_view())

if __name__ == "__main__":
    serve(demo, options)

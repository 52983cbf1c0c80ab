"""HGC Studio: opens the page at once and loads the model meanwhile. Run `python app.py`; --help names the options."""

import os
import sys

from hgc.history import place_of
from hgc.ui import build, first_view, loader_here, serve

demo = build(loader_here(), place_of(os.environ, "--no-history" in sys.argv[1:]), first_view())

if __name__ == "__main__":
    serve(demo, sys.argv[1:])

"""HGC Studio: opens the page at once and loads the model meanwhile. Run `python app.py`; --no-history keeps nothing."""

import os
import sys

from hgc.history import place_of
from hgc.ui import build, first_view, launch_options, loader_here

demo = build(loader_here(), place_of(os.environ, "--no-history" in sys.argv[1:]), first_view())

if __name__ == "__main__":
    demo.launch(**launch_options())

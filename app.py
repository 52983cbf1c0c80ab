"""HGC Studio: opens the page at once and loads the model meanwhile. Run `python app.py`."""

from hgc.ui import build, launch_options, loader_here

demo = build(loader_here())

if __name__ == "__main__":
    demo.launch(**launch_options())

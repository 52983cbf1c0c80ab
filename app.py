"""HGC Studio: opens the page at once and loads the model meanwhile. Run `python app.py`."""

from hgc.ui import Loader, build, launch_options

demo = build(Loader().start())

if __name__ == "__main__":
    demo.launch(**launch_options())

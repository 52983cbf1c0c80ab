"""The interface, in gradio: one file a tab."""

from hgc.ui.loader import Loader, loader_here
from hgc.ui.page import build, launch_options

__all__ = ["Loader", "build", "launch_options", "loader_here"]

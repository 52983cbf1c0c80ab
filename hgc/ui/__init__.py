"""The interface, in gradio: one file a tab."""

from hgc.ui.loader import Loader, loader_here
from hgc.ui.page import build, first_view, launch_options
from hgc.ui.serve import runs_at, serve

__all__ = ["Loader", "build", "first_view", "launch_options", "loader_here", "runs_at", "serve"]

"""Pictures inside the page, without loss."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

from hgc.control.canvas import Pixels

PNG_URL = "data:image/png;base64,"


def png_url(picture: Pixels | Image.Image) -> str:
    """A picture, or pixels uint8 [H, W, 3 or 4], as the address of a PNG that holds itself."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return PNG_URL + b64encode(buffer.getvalue()).decode()

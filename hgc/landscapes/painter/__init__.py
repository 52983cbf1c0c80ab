"""Paints any label map: every class is shaded from its own mask, whatever its outline."""

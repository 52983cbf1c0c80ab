"""Which models there are, and how one becomes a diffusers pipeline on a device."""

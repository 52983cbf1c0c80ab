"""Change curves that no model made, for tests of what is planned from curves."""

from __future__ import annotations

import numpy as np

from hgc.cache.anatomy import Anatomy
from hgc.calibration.curves import ChangeCurves
from hgc.calibration.subject import Subject


def curves(anatomy: Anatomy, steps: int) -> ChangeCurves:
    """Every site changes at random, the whole prediction steadily."""
    draw = np.random.default_rng(0)
    mean = {
        site.name: (0.0, *(float(change) for change in draw.uniform(0.05, 0.35, steps - 1)))
        for site in anatomy
        if not site.constant
    } | {"unet": (0.0, *(0.1,) * (steps - 1))}
    subject = Subject(anatomy.model, "segmentation", "ddim", steps, 4.0)
    return ChangeCurves(subject, 1, mean, dict.fromkeys(mean, (0.0,) * steps))

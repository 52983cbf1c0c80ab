"""What the page calls things."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hgc.service import ArmName

SAMPLER_TITLES = {"ddim": "DDIM", "dpmpp": "DPM-Solver++", "unipc": "UniPC", "euler": "Euler"}
ARM_TITLES: "dict[ArmName, str]" = {"full": "Full", "cached": "Cached", "fewer": "Fewer steps"}

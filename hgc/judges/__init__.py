"""Networks of the Hub's that look at pictures of all kinds, and what they say about a picture."""

ERRORS = ("depth",)  # controls whose score is a distance from the map, in grey levels: less is better
UNSCORED = "control score"  # the name of the score of a control that no judge reads back


def is_error(score_name: str) -> bool:
    """Whether a score, by its name, is that of one of ERRORS."""
    return score_name.endswith("RMSE")

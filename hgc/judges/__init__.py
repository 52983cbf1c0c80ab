"""Networks of the Hub's that look at pictures of all kinds, and what they say about a picture."""

UNSCORED = "control score"  # the name of the score of a control that no judge reads back


def is_error(score_name: str) -> bool:
    """Whether a control's score, by its name, is a distance from the map in grey levels: less is better."""
    return score_name.endswith("RMSE")

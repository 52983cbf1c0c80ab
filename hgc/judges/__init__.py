"""Networks of the Hub's that look at pictures of all kinds, and what they say about a picture."""

UNSCORED = "control score"  # the name of the score of a control that no judge reads back

"""Networks of the Hub's that look at pictures of all kinds, and what they say about a picture."""

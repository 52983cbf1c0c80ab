"""A loaded model that runs requests."""

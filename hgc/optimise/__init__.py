"""The plan of least error within a budget: measured, planned exactly by dynamic programming, refined on real runs."""

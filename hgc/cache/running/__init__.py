"""Runs a plan on a pipeline: the engine and its parts."""

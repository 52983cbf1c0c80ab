"""Drawings as hands make them, by a program: maps of areas and lines by somebody's pen."""

"""The root of every refusal that a person can put right, by which page, endpoints and shell know all of them."""

from __future__ import annotations


class Refused(Exception):
    """Something that was asked for and cannot be done; the message is one sentence: what, where, and the remedy."""

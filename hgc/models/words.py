"""The words of a prompt as its tokenizer cuts them, and which of the text's tokens are theirs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Word:
    """A word, numbered where it comes more than once, and its places among the tokens of the text."""

    title: str
    tokens: tuple[int, ...]


def words_of(tokenizer: Any, prompt: str) -> tuple[Word, ...]:
    """The words that a CLIP tokenizer reads, in order; punctuation and what is cut off at the end are left out."""
    found: list[tuple[str, tuple[int, ...]]] = []
    pieces: list[str] = []
    special = set(tokenizer.all_special_tokens)
    for place, piece in enumerate(tokenizer.tokenize(prompt)[: tokenizer.model_max_length - 2], 1):  # 0 is the start
        pieces = [] if piece in special else [*pieces, piece]  # what a small vocabulary cannot spell parts words
        if piece.endswith("</w>"):
            text = tokenizer.decode(tokenizer.convert_tokens_to_ids(pieces)).strip()
            if any(letter.isalnum() for letter in text):
                found.append((text, tuple(range(place - len(pieces) + 1, place + 1))))
            pieces = []
    several = Counter(text for text, _ in found)
    seen: Counter[str] = Counter()
    words = []
    for text, tokens in found:
        seen[text] += 1
        words.append(Word(f"{text} ({seen[text]})" if several[text] > 1 else text, tokens))
    return tuple(words)

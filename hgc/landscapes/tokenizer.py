"""The tokenizer of the small world: a CLIPTokenizer in which every word of the captions is one token."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from hgc.landscapes.caption import vocabulary

MAX_TOKENS = 48
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
PUNCTUATION = (",", ".", "-", "!", "'")


def build_tokenizer() -> CLIPTokenizer:
    """A tokenizer that knows every word of the vocabulary; the same one every time, because weights depend on it."""
    merges = learn_merges([*vocabulary(), *PUNCTUATION])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(letter + WORD_END for letter in alphabet), *(left + right for left, right in merges)]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    vocab[START], vocab[END] = len(vocab), len(vocab) + 1
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_TOKENS)


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, the commonest pair first and ties by the alphabet, until every word is one piece."""
    spelt = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for pieces in spelt for pair in pairwise(pieces)):
        chosen = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(chosen)
        spelt = [_merged(pieces, chosen) for pieces in spelt]
    return merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    done: list[str] = []
    for piece in pieces:
        if done and (done[-1], piece) == pair:
            done[-1] += piece
        else:
            done.append(piece)
    return done


def word_ids(tokenizer: CLIPTokenizer) -> list[int]:
    """Tokens a caption can hold; all others never saw training."""
    whole = {tokenizer.convert_tokens_to_ids(word + WORD_END) for word in (*known_words(tokenizer), *PUNCTUATION)}
    return sorted(whole | {tokenizer.bos_token_id, tokenizer.eos_token_id})


def known_words(tokenizer: CLIPTokenizer) -> frozenset[str]:
    """The words of the vocabulary that this tokenizer reads whole: one made for an earlier vocabulary spells some."""
    words = vocabulary()
    spelt = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return frozenset(word for word, ids in zip(words, spelt, strict=True) if len(ids) == 1)


@dataclass(frozen=True)
class PromptReading:
    """The reading of a prompt by the model: words it does not know, and the words past the end of its reading."""

    unknown: tuple[str, ...]
    cut: tuple[str, ...]


def read_prompt(tokenizer: CLIPTokenizer, prompt: str) -> PromptReading:
    """Unknown words in the order they come, each once; and what does not fit into `model_max_length` tokens."""
    known = known_words(tokenizer)
    unknown: dict[str, None] = {}
    cut: list[str] = []
    used = 2  # the start and end tokens
    for piece in re.findall(r"[^\W\d_]+|\d|[^\w\s]+", prompt.lower()):
        used += len(tokenizer(piece, add_special_tokens=False)["input_ids"])
        is_word = piece[0].isalnum()
        if is_word and piece not in known:
            unknown[piece] = None  # to be named as such, wherever it stands: its letters alone fill up the reading
        elif used > tokenizer.model_max_length:
            cut.append(piece)
    return PromptReading(tuple(unknown), tuple(cut))

"""Texts as lists of token numbers: hashed words and the 3-grams of their letters, so that no vocabulary is learned."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

VOCABULARY = 2**13
"""Numbers of tokens, that of the padding included."""
PADDING = 0
_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")


def word_tokens(text: str) -> list[str]:
    """Return the words of a text in small letters, in their order.

    What an underscore joins is one word; underscores around it are left out.

    Examples
    --------
    >>> word_tokens("Call str.split(), or object.__lt__ and all_of it.")
    ['call', 'str', 'split', 'or', 'object', 'lt', 'and', 'all_of', 'it']

    """
    return _WORD.findall(text.lower())


def grams_of(text: str) -> list[str]:
    """Return each word of a text and the 3-grams of its letters, with `<` and `>` as its ends, each of them once.

    References
    ----------
    Bojanowski, Grave, Joulin, Mikolov 2017, "Enriching Word Vectors with Subword Information", arXiv:1607.04606.

    Examples
    --------
    >>> grams_of("as text")
    ['<as>', '<as', 'as>', '<text>', '<te', 'tex', 'ext', 'xt>']

    """
    return list(dict.fromkeys(gram for word in dict.fromkeys(word_tokens(text)) for gram in _of_word(word)))


@lru_cache(maxsize=2**16)
def _of_word(word: str) -> tuple[str, ...]:
    ends = f"<{word}>"
    return (ends, *(ends[start : start + 3] for start in range(len(word))))


@lru_cache(maxsize=2**16)
def hashed(gram: str, vocabulary: int = VOCABULARY) -> int:
    """Return the number of a word or 3-gram: 1 + CRC-32 mod (vocabulary - 1), on every machine and in every process.

    Examples
    --------
    >>> hashed("<as>"), hashed("<as>", vocabulary=2)
    (3467, 1)

    """
    return 1 + zlib.crc32(gram.encode()) % (vocabulary - 1)


def hashed_ngrams(
    texts: Sequence[str], length: int, *, vocabulary: int = VOCABULARY, documents: Sequence[str] = ()
) -> Tensor:
    """Return the numbers of the words and 3-grams of texts.

    A text that has too many keeps those that fewest documents have, since these tell most; they stay in their order.

    Parameters
    ----------
    texts : sequence of str
        N texts.
    length : int
        Numbers T to a text.
    vocabulary : int
        Numbers of tokens, that of the padding included: what is hashed is in 1 ... vocabulary - 1.
    documents : sequence of str
        Where it is counted what is frequent; by default the texts themselves.

    Returns
    -------
    Tensor, shape (N, T)
        int64, filled up with 0.

    Examples
    --------
    >>> hashed_ngrams(["as", "as text"], length=4)
    tensor([[3467, 7798, 2291,    0],
            [4101, 4812, 5913, 1184]])

    """
    grams = [grams_of(text) for text in texts]
    frequency = Counter(gram for each in (map(grams_of, documents) if documents else grams) for gram in each)
    tokens = np.full((len(texts), length), PADDING, dtype=np.int64)
    for row, each in enumerate(grams):
        kept = each
        if len(each) > length:
            rarest = sorted(range(len(each)), key=lambda place: (frequency[each[place]], place))
            kept = [each[place] for place in sorted(rarest[:length])]
        tokens[row, : len(kept)] = [hashed(gram, vocabulary) for gram in kept]
    return torch.from_numpy(tokens)

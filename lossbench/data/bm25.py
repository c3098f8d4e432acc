"""BM25: how well passages match the words of a query, without learning."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from lossbench.data.corruptions import Array


def bm25_scores(
    queries: Sequence[Sequence[str]], passages: Sequence[Sequence[str]], *, k1: float = 1.2, b: float = 0.75
) -> Array:
    """Score each passage for each query.

    s(q, p) = sum over the words w of q of idf(w) f (k1 + 1) / (f + k1 (1 - b + b |p| / mean |p|)), f how often p has w,
    idf(w) = log(1 + (M - n + 1/2) / (n + 1/2)), n the number of passages that have w.

    The idf of Robertson and Spärck Jones lacks the 1 and is negative for words that more than half of the passages
    have; with it, as in Lucene, none is. Lucene leaves out the constant k1 + 1, which changes no order. A word that a
    query has twice counts twice.

    Parameters
    ----------
    queries : sequence of sequences of str
        The words of Q queries, such as `hashed_ngrams.word_tokens` gives.
    passages : sequence of sequences of str
        The words of M passages.
    k1 : float
        How slowly the count of a word saturates, at least 0.
    b : float
        How much a longer passage is held against it, from 0 to 1.

    Returns
    -------
    ndarray, shape (Q, M)
        float32; 0 where no word is shared.

    References
    ----------
    Robertson, Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", doi:10.1561/1500000019.

    Examples
    --------
    >>> bm25_scores([["cat"]], [["a", "cat"], ["a", "dog"]])
    array([[0.6931472, 0.       ]], dtype=float32)

    """
    words: dict[str, int] = {}
    for passage in passages:
        for word in passage:
            words.setdefault(word, len(words))
    counts, wanted = _counts(passages, words), _counts(queries, words)
    lengths = np.array([len(passage) for passage in passages], dtype=float)
    relative = lengths / max(lengths.mean(), 1.0) if len(lengths) else lengths
    having = np.bincount(counts.indices, minlength=len(words))
    idf = np.log1p((len(passages) - having + 0.5) / (having + 0.5))
    rows = np.repeat(np.arange(len(passages)), np.diff(counts.indptr))
    counts.data *= (k1 + 1) / (counts.data + k1 * (1 - b + b * relative[rows])) * idf[counts.indices]
    scores: Array = (wanted @ counts.T).toarray().astype(np.float32)
    return scores


def _counts(texts: Sequence[Sequence[str]], words: dict[str, int]) -> sparse.csr_matrix:
    """Return how often each text has each known word, float64, (texts, words)."""
    counted = [Counter(words[word] for word in text if word in words) for text in texts]
    columns = [word for each in counted for word in each]
    values = [float(count) for each in counted for count in each.values()]
    starts = np.cumsum([0, *map(len, counted)])
    return sparse.csr_matrix((values, columns, starts), shape=(len(texts), len(words)))

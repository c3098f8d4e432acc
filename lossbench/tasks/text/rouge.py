"""ROUGE: what a text and its reference have in common, as recall, precision and their harmonic mean.

For each sentence by itself, then the mean over sentences. Words are what stands between blanks, as they are: the
package rouge-score also folds case, drops what is neither letter nor digit, and can stem. One reference; a text or a
reference without what is counted (no word, or one word where pairs are) has the score 0, also if both are empty.

References
----------
Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", W04-1013.

"""

from collections.abc import Callable
from functools import partial

import numpy as np

from lossbench.tasks.text.errors import Array, Texts, common, numbered, words

WEIGHT = 1.2
"""Exponent of a run of words in ROUGE-W: that of the ROUGE package's usual call."""


def scores(hypotheses: Texts, references: Texts) -> dict[str, float]:
    """Return the means over sentences of what `by_sentence` gives; nothing of no sentences.

    Examples
    --------
    >>> found = scores(["police kill the gunman"], ["police killed the gunman"])
    >>> {name: round(value, 2) for name, value in found.items() if len(name) == 7}
    {'rouge_1': 0.75, 'rouge_2': 0.33, 'rouge_l': 0.75, 'rouge_w': 0.68, 'rouge_s': 0.5}

    """
    if not len(references):
        return {}
    return {name: float(values.mean()) for name, values in by_sentence(hypotheses, references).items()}


def by_sentence(hypotheses: Texts, references: Texts) -> dict[str, Array]:
    """Return for each kind its recall, precision and harmonic mean, each (N,), in [0, 1].

    - rouge_1, rouge_2: words, and pairs of neighbours, in common, each as often as both have it.
    - rouge_l: the longest common subsequence.
    - rouge_w: the same with runs weighted: f(k) = k^1.2 of a run of k words.
    - rouge_s: pairs of words in their order, with whatever between them.

    Parameters
    ----------
    hypotheses, references : sequence of N str
        What is predicted, and what is true.

    Returns
    -------
    dict of str to array (N,)
        rouge_1_recall, rouge_1_precision, rouge_1 and so on.

    Raises
    ------
    ValueError
        If there are not as many of both.

    """
    first, second = numbered(words(hypotheses), words(references))
    kinds: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
        "rouge_1": partial(_n_grams, n=1),
        "rouge_2": partial(_n_grams, n=2),
        "rouge_l": _subsequence,
        "rouge_w": _weighted,
        "rouge_s": _skip_bigrams,
    }
    found: dict[str, Array] = {}
    for name, kind in kinds.items():
        recall, precision = kind(first, second)
        total = recall + precision
        found |= {f"{name}_recall": recall, f"{name}_precision": precision}
        found[name] = 2 * recall * precision / np.where(total == 0, 1, total)
    return found


def longest_common_subsequence(first: Array, second: Array) -> Array:
    """Return the length (N,) of the longest common subsequence of numbered sequences (N, L) and (N, M).

    Examples
    --------
    >>> longest_common_subsequence(*numbered(["abcde"], ["badce"]))
    array([3])

    """
    row = np.zeros((len(first), second.shape[1] + 1), dtype=np.int64)
    for i in range(first.shape[1]):
        row[:, 1:] = np.maximum(row[:, 1:], row[:, :-1] + (first[:, i : i + 1] == second))
        row = np.maximum.accumulate(row, axis=1)
    return row[:, -1]


def weighted_common_subsequence(first: Array, second: Array, weight: float = WEIGHT) -> Array:
    """Return the weighted longest common subsequence (N,) of Lin's recursion: a run of k words adds k^weight.

    The recursion takes every match that it meets, so that it is not always the largest sum. Computed along
    anti-diagonals, for all pairs at once.

    Examples
    --------
    >>> weighted_common_subsequence(*numbered(["ABCDEFG", "ABCDEFG"], ["ABCDHIK", "AHBKCID"]), weight=2.0)
    array([16.,  4.])

    """
    height, width = first.shape[1], second.shape[1]
    shape, rows = (len(first), height + 1), np.arange(len(first))
    last, end = (first >= 0).sum(1), (first >= 0).sum(1) + (second >= 0).sum(1)
    found = np.zeros(len(first))
    sums, before = np.zeros(shape), np.zeros(shape)  # of this and of the last anti-diagonal, by the place in `first`
    runs, runs_before = np.zeros(shape), np.zeros(shape)
    for diagonal in range(2, height + width + 1):
        i = np.arange(max(1, diagonal - width), min(height, diagonal - 1) + 1)
        match = first[:, i - 1] == second[:, diagonal - i - 1]
        run = runs_before[:, i - 1]
        with_match = before[:, i - 1] + (run + 1) ** weight - run**weight
        now, runs_now = np.zeros(shape), np.zeros(shape)
        now[:, i] = np.where(match, with_match, np.maximum(sums[:, i - 1], sums[:, i]))
        runs_now[:, i] = np.where(match, run + 1, 0)
        before, sums, runs_before, runs = sums, now, runs, runs_now
        found = np.where(diagonal == end, sums[rows, last], found)
    return found


def _n_grams(first: Array, second: Array, n: int) -> tuple[Array, Array]:
    return _shares(*_numbered_pairs(first, second, lambda each: _neighbours(each, n)))


def _skip_bigrams(first: Array, second: Array) -> tuple[Array, Array]:
    return _shares(*_numbered_pairs(first, second, _ordered))


def _neighbours(numbers: Array, n: int) -> Array:
    """Return the runs of n numbers, (N, P, n)."""
    return np.stack([numbers[:, i : max(0, numbers.shape[1] - n + 1) + i] for i in range(n)], axis=-1)


def _ordered(numbers: Array) -> Array:
    """Return all pairs of numbers in their order, (N, P, 2)."""
    return np.stack([numbers[:, places] for places in np.triu_indices(numbers.shape[1], 1)], axis=-1)


def _numbered_pairs(first: Array, second: Array, parts: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Give each part, of one or two numbers, a number of its own; -1 where it reaches into the padding."""
    size = max(first.max(initial=0), second.max(initial=0)) + 1

    def number(of: Array) -> Array:
        found = parts(of)
        return np.where((found >= 0).all(-1), found @ size ** np.arange(found.shape[-1]), -1)

    return number(first), number(second)


def _shares(first: Array, second: Array) -> tuple[Array, Array]:
    """Return recall and precision of what numbered parts have in common."""
    return _of_lengths(common(first, second), (first >= 0).sum(1), (second >= 0).sum(1))


def _subsequence(first: Array, second: Array) -> tuple[Array, Array]:
    return _of_lengths(longest_common_subsequence(first, second), (first >= 0).sum(1), (second >= 0).sum(1))


def _weighted(first: Array, second: Array) -> tuple[Array, Array]:
    found = weighted_common_subsequence(first, second) ** (1 / WEIGHT)
    return _of_lengths(found, (first >= 0).sum(1), (second >= 0).sum(1))


def _of_lengths(shared: Array, of_first: Array, of_second: Array) -> tuple[Array, Array]:
    return shared / np.maximum(of_second, 1), shared / np.maximum(of_first, 1)

"""METEOR: words in common, recall counting more than precision, less a penalty for words that come in another order.

Only equal words match: the metric as published also matches stems and synonyms, which takes a stemmer and WordNet of
the language. Words are what stands between blanks, as they are. Of all alignments with the most matches that with the
fewest chunks is taken, a chunk being a run of matches that are neighbours in both texts. The paper of 2005 asks for the
fewest crossings in place of chunks; nltk 3.10.4 matches from the end without a search, so that it can find more chunks.
A text without a match has 0, and an equal text less than 1: the penalty of one chunk is left.

References
----------
Banerjee and Lavie 2005, "METEOR: An Automatic Metric for MT Evaluation with Improved Correlation with Human Judgments",
W05-0909; Lavie and Agarwal 2007, "METEOR: An Automatic Metric for MT Evaluation with High Levels of Correlation with
Human Judgments", W07-0734.

"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lossbench.tasks.text.errors import Array, Texts, require_pairs, words

BEAM = 40
"""Alignments of a beginning that are kept: the search is exact unless words are repeated often."""


def scores(hypotheses: Texts, references: Texts) -> dict[str, float]:
    """Return the means over sentences of both forms; nothing of no sentences.

    Examples
    --------
    >>> found = scores(["the cat sat on the mat"], ["on the mat sat the cat"])
    >>> {name: round(value, 4) for name, value in found.items()}
    {'meteor_2005': 0.9375, 'meteor_2007': 0.8425}

    """
    if not len(references):
        return {}
    return {name: float(values.mean()) for name, values in by_sentence(hypotheses, references).items()}


def by_sentence(hypotheses: Texts, references: Texts) -> dict[str, Array]:
    """Return for each sentence (N,) both forms, in [0, 1].

    - meteor_2005: F (1 - .5 (chunks / matches)^3), F = 10 P R / (R + 9 P).
    - meteor_2007: `parametric` with alpha .81, beta .83, gamma .28, tuned on judgements of English; the values are
      those usually given for it, the paper's table was not read.

    Raises
    ------
    ValueError
        If there are not as many of both.

    """
    found = alignments(hypotheses, references)
    return {"meteor_2005": of_2005(*found), "meteor_2007": parametric(*found, alpha=0.81, beta=0.83, gamma=0.28)}


def of_2005(matches: Array, chunks: Array, of_hypothesis: Array, of_reference: Array) -> Array:
    """Return the score of 2005 of what `alignments` returns: recall weighs nine times as much as precision.

    Formula: 10 P R / (R + 9 P) (1 - .5 (chunks / matches)^3)

    Examples
    --------
    >>> of_2005(*(np.array([each]) for each in (2, 1, 2, 4))).round(4)
    array([0.4934])

    """
    precision, recall = matches / np.maximum(of_hypothesis, 1), matches / np.maximum(of_reference, 1)
    below = recall + 9 * precision
    return 10 * precision * recall / np.where(below == 0, 1, below) * (1 - 0.5 * _fragments(matches, chunks) ** 3)


def parametric(
    matches: Array,
    chunks: Array,
    of_hypothesis: Array,
    of_reference: Array,
    *,
    alpha: float = 0.9,
    beta: float = 3.0,
    gamma: float = 0.5,
) -> Array:
    """Return the score with the three parameters of 2007 of what `alignments` returns.

    Formula: P R / (alpha P + (1 - alpha) R) (1 - gamma (chunks / matches)^beta)

    With the defaults, which are nltk's too, it is the score of 2005.

    Parameters
    ----------
    matches, chunks, of_hypothesis, of_reference : array (N,)
        What `alignments` returns.
    alpha : float in [0, 1]
        Weight of recall.
    beta : float from 0
        Exponent of the penalty.
    gamma : float in [0, 1]
        The largest penalty.

    Returns
    -------
    array (N,)
        Values in [0, 1].

    Examples
    --------
    >>> parametric(*(np.array([each]) for each in (2, 1, 2, 4))).round(4)
    array([0.4934])

    """
    precision, recall = matches / np.maximum(of_hypothesis, 1), matches / np.maximum(of_reference, 1)
    below = alpha * precision + (1 - alpha) * recall
    mean = precision * recall / np.where(below == 0, 1, below)
    return mean * (1 - gamma * _fragments(matches, chunks) ** beta)


def alignments(hypotheses: Texts, references: Texts) -> tuple[Array, Array, Array, Array]:
    """Return for each sentence (N,) the matches, the fewest chunks, the words of the hypothesis and of the reference.

    Examples
    --------
    >>> alignments(["a b c", "c a"], ["b c a", "d"])
    (array([3, 0]), array([2, 0]), array([3, 2]), array([3, 1]))

    """
    require_pairs(hypotheses, references)
    first, second = words(hypotheses), words(references)
    aligned = np.array([fewest_chunks(*pair) for pair in zip(first, second, strict=True)], dtype=np.int64).reshape(
        -1, 2
    )
    lengths = [np.array([len(each) for each in texts], dtype=np.int64) for texts in (first, second)]
    return aligned[:, 0], aligned[:, 1], lengths[0], lengths[1]


def fewest_chunks(hypothesis: Sequence[str], reference: Sequence[str]) -> tuple[int, int]:
    """Return the most matches of equal words, and the fewest chunks of an alignment that has them.

    Word by word: what counts of an alignment of a beginning is its last match and the places that are taken (as bits),
    with the fewest chunks that lead there.

    Examples
    --------
    >>> fewest_chunks("the cat and the dog".split(), "and the dog the cat".split())
    (5, 2)

    """
    places: dict[str, list[int]] = {}
    for place, word in enumerate(reference):
        places.setdefault(word, []).append(place)
    counts = Counter(hypothesis)
    matches = (counts & Counter(reference)).total()
    left = counts.copy()
    beams: dict[tuple[int, int], int] = {(-2, 0): 0}
    for word in hypothesis:
        grown: dict[tuple[int, int], int] = {}
        left[word] -= 1
        for (last, taken), chunks in beams.items():
            free = [place for place in places.get(word, ()) if not taken >> place & 1]
            for place in free:
                _keep(grown, (place, taken | 1 << place), chunks + (place != last + 1))
            if left[word] >= len(free):  # those that come can still take all that is free
                _keep(grown, (-2, taken), chunks)
        beams = grown if len(grown) <= BEAM else dict(sorted(grown.items(), key=lambda each: each[1])[:BEAM])
    return matches, min(beams.values())


def _keep(beams: dict[tuple[int, int], int], key: tuple[int, int], chunks: int) -> None:
    beams[key] = min(chunks, beams.get(key, chunks))


def _fragments(matches: Array, chunks: Array) -> Array:
    return np.asarray(chunks / np.maximum(matches, 1))

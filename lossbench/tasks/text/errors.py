"""What is wrong in texts: edits of words and characters, with and without shifts, exact matches, common words.

A word is what stands between blanks, as it is: no case is folded, no punctuation split off or dropped. An error rate is
of a corpus: all edits over all words of the references, not the mean of the rates of sentences. A sentence with an
empty reference adds its words as edits and nothing to the length. References without any word have no rate.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.tasks.sequence.by_sample import edits

Array = NDArray[Any]
Texts = Sequence[str]


class Counts(NamedTuple):
    """Edits (N,) of each sentence, and the length (N,) of its reference: a corpus has the ratio of their sums."""

    edits: Array
    lengths: Array

    @property
    def rate(self) -> float | None:
        """All edits over all lengths; None if the references are all empty."""
        return float(self.edits.sum() / self.lengths.sum()) if self.lengths.any() else None


def scores(hypotheses: Texts, references: Texts) -> dict[str, float]:
    """Measure texts by what is wrong in them; rates only if the references have a word.

    Parameters
    ----------
    hypotheses, references : sequence of N str
        What is predicted, and what is true.

    Returns
    -------
    dict of str to float
        wer, cer, ter: error rates of the corpus, from 0, above 1 where there are more edits than words. exact_match,
        token_f1: means over sentences of what the functions of that name return.

    Raises
    ------
    ValueError
        If there are not as many of both.

    Examples
    --------
    >>> found = scores(["three two one", "five"], ["one two three", "five"])
    >>> {name: round(value, 3) for name, value in found.items()}
    {'wer': 0.5, 'cer': 0.471, 'ter': 0.5, 'exact_match': 0.5, 'token_f1': 1.0}

    """
    rates = {
        "wer": word_errors(hypotheses, references).rate,
        "cer": character_errors(hypotheses, references).rate,
        "ter": translation_edits(hypotheses, references).rate,
    }
    found = {name: rate for name, rate in rates.items() if rate is not None}
    if len(references):
        found["exact_match"] = float(exact_match(hypotheses, references).mean())
        found["token_f1"] = float(token_f1(hypotheses, references).mean())
    return found


def word_errors(hypotheses: Texts, references: Texts) -> Counts:
    """Count substitutions, deletions and insertions of words: the word error rate is `.rate`.

    Of one sentence with an empty reference jiwer 4.0.0 returns the number of inserted words as its rate; here it is
    None.

    Examples
    --------
    >>> word_errors(["a x c", "a"], ["a b c d", ""])
    Counts(edits=array([2, 1]), lengths=array([4, 0]))

    """
    return _errors(words(hypotheses), words(references))


def character_errors(hypotheses: Texts, references: Texts) -> Counts:
    """Count substitutions, deletions and insertions of characters: the character error rate is `.rate`.

    Blanks count as characters, also those at both ends.

    Examples
    --------
    >>> character_errors(["kitten"], ["sitting"]).rate == 3 / 7
    True

    """
    return _errors(hypotheses, references)


def translation_edits(hypotheses: Texts, references: Texts) -> Counts:
    """Count edits of words where moving a run of words is one edit: the translation edit rate is `.rate`.

    By sacrebleu, whose search for shifts is tercom's greedy one. Case counts, which it does not by default. Of an empty
    reference sacrebleu counts a rate of 1, here it adds its edits.

    References
    ----------
    Snover et al. 2006, "A Study of Translation Edit Rate with Targeted Human Annotation".

    Examples
    --------
    One shift and one substitution, where the word error rate has three edits:

    >>> translation_edits(["c d a x"], ["a b c d"])
    Counts(edits=array([2]), lengths=array([4]))

    """
    from sacrebleu.metrics.ter import TER

    require_pairs(hypotheses, references)
    metric = TER(case_sensitive=True)
    found = [metric.sentence_score(each, [true]) for each, true in zip(hypotheses, references, strict=True)]
    lengths = np.array([int(score.ref_length) for score in found], dtype=np.int64)
    return Counts(np.array([int(score.num_edits) for score in found], dtype=np.int64), lengths)


def exact_match(hypotheses: Texts, references: Texts) -> Array:
    """Return 1 for each text (N,) that has the words of its reference in their order, else 0.

    Examples
    --------
    >>> exact_match(["a b", "a"], ["a  b", "b"])
    array([1., 0.])

    """
    require_pairs(hypotheses, references)
    pairs = zip(words(hypotheses), words(references), strict=True)
    return np.array([each == true for each, true in pairs], dtype=np.float64)


def token_f1(hypotheses: Texts, references: Texts) -> Array:
    """Return for each text (N,) the harmonic mean of precision and recall of its words, whatever their order.

    Formula: 2 c / (n + m), c the words in common, each as often as in both, n and m the numbers of words

    Words are compared as they are: the script of SQuAD first folds case and drops articles and punctuation. Two empty
    texts have 1.

    References
    ----------
    Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", arXiv:1606.05250.

    Examples
    --------
    >>> token_f1(["b a a", "", ""], ["a b c", "", "a"]).round(3)
    array([0.667, 1.   , 0.   ])

    """
    first, second = numbered(words(hypotheses), words(references))
    total = (first >= 0).sum(1) + (second >= 0).sum(1)
    return np.where(total == 0, 1.0, 2 * common(first, second) / np.maximum(total, 1))


def words(texts: Texts) -> list[list[str]]:
    """Return what stands between the blanks of each text."""
    return [text.split() for text in texts]


def require_pairs(hypotheses: Sequence[Any], references: Sequence[Any]) -> None:
    """Raise ValueError unless there is one reference for each hypothesis."""
    if len(hypotheses) != len(references):
        raise ValueError(
            f"there are {len(hypotheses)} hypotheses and {len(references)} references. Give one reference for each."
        )


def numbered(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> tuple[Array, Array]:
    """Write N pairs of sequences as numbers, alike in both: (N, L), padded with -1, and (N, M), padded with -2.

    Raises
    ------
    ValueError
        If there are not as many of both.

    Examples
    --------
    >>> numbered([["a", "b"], ["a"]], [["b"], []])
    (array([[ 0,  1],
           [ 0, -1]]), array([[ 1],
           [-2]]))

    """
    require_pairs(first, second)
    numbers: dict[str, int] = {}
    return _padded(first, numbers, -1), _padded(second, numbers, -2)


def common(first: Array, second: Array) -> Array:
    """Return how many numbers from 0 two rows have in common (N,), each as often as both have it.

    Examples
    --------
    >>> common(np.array([[1, 1, 2]]), np.array([[1, 1, 1]]))
    array([2])

    """
    size = max(first.max(initial=0), second.max(initial=0)) + 1
    (keys, counts), (others, of_others) = _tally(first, size), _tally(second, size)
    shared, at, of = np.intersect1d(keys, others, assume_unique=True, return_indices=True)
    return np.bincount(shared // size, np.minimum(counts[at], of_others[of]), len(first)).astype(np.int64)


def _tally(numbers: Array, size: int) -> tuple[Array, Array]:
    """Return each number of each row once, as row * size + number, and how often it is there."""
    rows, places = np.nonzero(numbers >= 0)
    return np.unique(rows * size + numbers[rows, places], return_counts=True)


def _errors(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> Counts:
    read, true = numbered(first, second)
    return Counts(edits(read, true), (true >= 0).sum(1))


def _padded(sequences: Sequence[Sequence[str]], numbers: dict[str, int], padding: int) -> Array:
    lengths = np.array([len(each) for each in sequences], dtype=np.int64)
    flat: Iterable[int] = (numbers.setdefault(each, len(numbers)) for each in chain.from_iterable(sequences))
    found = np.full((len(sequences), lengths.max(initial=0)), padding, dtype=np.int64)
    found[np.arange(found.shape[1]) < lengths[:, None]] = np.fromiter(flat, dtype=np.int64)
    return found

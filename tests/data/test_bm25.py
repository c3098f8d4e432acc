"""BM25 against a loop over its formula, and against rank_bm25 where that is installed."""

from math import log

import numpy as np
import pytest

from lossbench.data.bm25 import bm25_scores

PASSAGES = [
    ["the", "cat", "sat", "on", "the", "mat"],
    ["the", "dog", "ate", "the", "cat"],
    ["a", "bird"],
    ["the", "the", "the"],
    ["numbers", "and", "more", "numbers", "and", "words"],
]
QUERIES = [["cat"], ["the", "cat"], ["the", "the"], ["unknown"], [], ["numbers", "bird", "dog"]]


def by_hand(query, passage, passages, k1, b):
    average = sum(map(len, passages)) / len(passages)
    score = 0.0
    for word in (word for word in query if word in passage):
        having = sum(word in each for each in passages)
        count = passage.count(word)
        idf = log(1 + (len(passages) - having + 0.5) / (having + 0.5))
        score += idf * count * (k1 + 1) / (count + k1 * (1 - b + b * len(passage) / average))
    return score


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.0, 0.75), (2.0, 0.0), (0.9, 1.0)])
def test_scores_are_those_of_the_formula(k1, b):
    expected = [[by_hand(query, passage, PASSAGES, k1, b) for passage in PASSAGES] for query in QUERIES]
    scores = bm25_scores(QUERIES, PASSAGES, k1=k1, b=b)
    assert scores.dtype == np.float32 and scores.shape == (6, 5)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_many_random_texts():
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(40)])
    passages, queries = ([list(rng.choice(words, rng.integers(1, 30))) for _ in range(count)] for count in (60, 20))
    expected = [[by_hand(query, passage, passages, 1.2, 0.75) for passage in passages] for query in queries]
    np.testing.assert_allclose(bm25_scores(queries, passages), expected, rtol=1e-5)


def test_no_word_counts_against_a_passage():
    assert (bm25_scores(QUERIES, PASSAGES) >= 0).all()


def test_rank_bm25_agrees_given_the_same_idf():
    library = pytest.importorskip("rank_bm25")
    oracle = library.BM25Okapi(PASSAGES, k1=1.2, b=0.75)
    count = len(PASSAGES)
    having = {word: sum(word in each for each in PASSAGES) for word in oracle.idf}
    oracle.idf = {word: log(1 + (count - n + 0.5) / (n + 0.5)) for word, n in having.items()}
    np.testing.assert_allclose(bm25_scores(QUERIES, PASSAGES), [oracle.get_scores(each) for each in QUERIES], rtol=1e-6)

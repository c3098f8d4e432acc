"""Passages that are searched, and queries: token numbers, graded answers, and what BM25 makes of them."""

import platform
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.data.bm25 import bm25_scores
from lossbench.data.corruptions import part_of
from lossbench.data.hashed_ngrams import VOCABULARY, hashed_ngrams, word_tokens
from lossbench.data.help_corpus import hash_of
from lossbench.data.help_queries import Query, help_search
from lossbench.data.own_pairs import Pair, read_pairs
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream

QUERY, PASSAGE = 128, 256
"""The most tokens of a query and of a passage: words and 3-grams of letters."""


@source(shape=(128,), serves=("retrieval",))
@takes(vocabulary="int [2, inf)")
def help_topics(root: Path, seed: int, *, vocabulary: int = VOCABULARY) -> Source:
    """Search the help texts of this Python, cut into passages, for what is asked of them; see `help_queries`.

    Training queries are titles and first sentences of passages; test queries typed questions, then first sentences of
    other passages. All search the same passages.

    Parameters
    ----------
    root, seed
        Not looked at: all is the same under every seed.
    vocabulary : int
        Numbers of tokens, the padding included.

    """
    return _help_topics(vocabulary)


@lru_cache(maxsize=1)  # for all seeds
def _help_topics(vocabulary: int) -> Source:
    search = help_search()
    known = {
        "python": platform.python_version(),
        "hash": hash_of(search.texts),
        "questions": search.asked,
        "missing_questions": search.missing,
    }
    return _searched(search.texts, search.train, search.test, vocabulary, known)


@source(shape=(128,), serves=("retrieval",))
@takes(path="text", test="number (0, 1)", vocabulary="int [2, inf)")
def pairs(root: Path, seed: int, *, path: str, test: float = 0.2, vocabulary: int = VOCABULARY) -> Source:
    """Read queries and passages of the user's own: a file of rows with a query, a passage and how well that answers.

    Parameters
    ----------
    root, seed
        Not looked at.
    path : str
        The file; see `own_pairs.read_pairs`. All its passages are searched by all queries.
    test : float
        Where no column says the part of a query, the share of the queries that is drawn for the test part, the same
        under every seed.
    vocabulary : int
        Numbers of tokens, the padding included.

    Raises
    ------
    DataError
        If the file is not there, or can't be understood.

    """
    rows = read_pairs(path)
    texts = list(dict.fromkeys(row.passage for row in rows))
    numbers = {text: number for number, text in enumerate(texts)}
    asked: dict[str, dict[int, int]] = {}
    for row in rows:
        grades = asked.setdefault(row.query, {})
        number = numbers[row.passage]
        grades[number] = max(row.grade, grades.get(number, 0))
    queries = [Query(text, {number: grade for number, grade in each.items() if grade}) for text, each in asked.items()]
    tested = _test_queries(rows, [query.text for query in queries], test)
    train, held_out = ([query for query in queries if (query.text in tested) == part] for part in (False, True))
    return _searched(texts, train, held_out, vocabulary, {"hash": hash_of(texts)})


def _test_queries(rows: Sequence[Pair], queries: Sequence[str], share: float) -> set[str]:
    """Return the queries of the test part: those that the file says, or else a fixed draw."""
    if rows[0].part:
        return {row.query for row in rows if row.part == "test"}
    order = numpy_stream(FIXED, "pairs", "test").permutation(len(queries))
    return {queries[number] for number in order[: max(1, min(part_of(len(queries), share), len(queries) - 1))]}


def _searched(
    texts: list[str], train: Sequence[Query], test: Sequence[Query], vocabulary: int, known: dict[str, Any]
) -> Source:
    """Make a source of passages and queries."""
    most = max(len(query.grades) for query in (*train, *test))
    words = [word_tokens(text) for text in texts]
    parts: dict[str, Any] = {}
    shared: dict[str, Any] = {
        "passages": hashed_ngrams(texts, PASSAGE, vocabulary=vocabulary),
        "texts": texts,
        "vocabulary": vocabulary,
        **known,
    }
    for part, queries in (("train", train), ("test", test)):
        asked = [query.text for query in queries]
        target, grades = _answers(queries, most)
        parts[f"{part}_inputs"] = hashed_ngrams(asked, QUERY, vocabulary=vocabulary, documents=texts)
        parts[f"{part}_target"], parts[f"{part}_extras"] = target, {"grades": grades}
        shared[f"queries_{part}"] = asked
        shared[f"bm25_{part}"] = torch.from_numpy(bm25_scores([word_tokens(text) for text in asked], words))
    return Source(task="retrieval", mean=torch.zeros(1), std=torch.ones(1), shared=shared, **parts)


def _answers(queries: Sequence[Query], most: int) -> tuple[Tensor, Tensor]:
    """Return the passages that answer, then -1, and their grades, then 0: both (N, most), the best first."""
    target = torch.full((len(queries), most), -1)
    grades = torch.zeros((len(queries), most), dtype=torch.int64)
    for row, query in enumerate(queries):
        best_first = sorted(query.grades.items(), key=lambda answer: -answer[1])
        target[row, : len(best_first)] = torch.tensor([number for number, _ in best_first])
        grades[row, : len(best_first)] = torch.tensor([grade for _, grade in best_first])
    return target, grades

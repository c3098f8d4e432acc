"""What is asked of the help texts of Python, and which passages answer.

Three kinds of queries: the title of a text, which asks for its passages; the first sentence of a passage, which
is taken out of the passage and asks for the rest (the inverse cloze task); and questions that people typed. A passage
that answers a typed question stays whole. The passages right before and after an answer, of the same text, often
belong to it: they get grade 1, the answer 2.
"""

from collections import Counter
from typing import NamedTuple

from lossbench.data.help_corpus import FEWEST, Passage, passages, sentences_of
from lossbench.data.help_questions import QUESTIONS
from lossbench.data.sources.source import FIXED
from lossbench.seeding import numpy_stream

HELD_OUT = 250
"""First sentences that are test queries."""
SHORTEST = 5
"""Words of a first sentence that tells enough to be asked for."""
MOST_OF_A_TEXT = 8
"""Passages that a title asks for: the first of them has grade 2, the others 1."""


class Query(NamedTuple):
    """A text, and the grades of the passages that answer, by their numbers."""

    text: str
    grades: dict[int, int]


class Search(NamedTuple):
    """Passages as they are searched, under their titles, and queries.

    The typed questions come first among the test queries; `asked` is how many, `missing` how many more this version of
    Python has no answer to.
    """

    texts: list[str]
    train: list[Query]
    test: list[Query]
    asked: int
    missing: int


def help_search() -> Search:
    """Make the passages and the queries, the same under every seed.

    A first sentence that two passages share, or that is a title, is no query, so that none is in both parts.
    """
    found = passages()
    questions, missing = _questions(found)
    whole = {number for query in questions for number, grade in query.grades.items() if grade == 2}
    sentences = _first_sentences(found, whole)
    order = numpy_stream(FIXED, "help_topics", "test").permutation(sorted(sentences))
    held_out = sorted(order[: min(HELD_OUT, len(order) // 2)].tolist())
    asks = {number: Query(text, _around(found, number)) for number, text in sentences.items()}
    train = [asks[number] for number in sorted(set(asks) - set(held_out))]
    texts = [_searched(each, sentences.get(number, "")) for number, each in enumerate(found)]
    test = [*questions, *(asks[number] for number in held_out)]
    return Search(texts, [*_titles(found), *train], test, len(questions), missing)


def _questions(found: tuple[Passage, ...]) -> tuple[list[Query], int]:
    """Return the typed questions that are answered here, and the number of the others."""
    by_key: dict[str, list[int]] = {}
    for number, each in enumerate(found):
        by_key.setdefault(each.key, []).append(number)
    queries = []
    for question, key, phrase in QUESTIONS:
        answer = next((number for number in by_key.get(key, ()) if phrase in found[number].text), None)
        if answer is not None:
            queries.append(Query(question, _around(found, answer)))
    return queries, len(QUESTIONS) - len(queries)


def _first_sentences(found: tuple[Passage, ...], whole: set[int]) -> dict[int, str]:
    """Return the first sentences that can be asked for, by the numbers of their passages."""
    sentences = {}
    for number, each in enumerate(found):
        first = sentences_of(each.text.partition("\n")[0])[0]
        long_enough = len(first.split()) >= SHORTEST and len(each.text.split()) - len(first.split()) >= FEWEST
        if long_enough and number not in whole:
            sentences[number] = first
    often = Counter(each.casefold() for each in sentences.values())
    often.update({each.title.casefold() for each in found})
    return {number: each for number, each in sentences.items() if often[each.casefold()] == 1}


def _titles(found: tuple[Passage, ...]) -> list[Query]:
    """Return a query for each title."""
    grades: dict[str, dict[int, int]] = {}
    for number, each in enumerate(found):
        answers = grades.setdefault(each.title, {})
        if len(answers) < MOST_OF_A_TEXT:
            answers[number] = 1 if answers else 2
    return [Query(title, each) for title, each in grades.items()]


def _around(found: tuple[Passage, ...], answer: int) -> dict[int, int]:
    """Return grade 2 for the answer, then 1 for the passages right before and after it in the same text."""
    beside = (number for number in (answer - 1, answer + 1) if 0 <= number < len(found))
    return {answer: 2, **{number: 1 for number in beside if found[number].key == found[answer].key}}


def _searched(passage: Passage, taken: str) -> str:
    return f"{passage.title}\n{passage.text.removeprefix(taken).strip()}"

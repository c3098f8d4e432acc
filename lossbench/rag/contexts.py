"""Metrics of what was retrieved. What a metric takes, returns and raises is said at the head of `answers.py`.

Source of those that a judge makes: Es et al. 2024, arXiv:2309.15217, and its library.
"""

import re
from collections.abc import Iterable, Sequence

from lossbench.rag.answers import given
from lossbench.rag.asking import Judge, ask, texts, verdict, verdicts
from lossbench.rag.cases import Case
from lossbench.rag.declared import metric
from lossbench.rag.prompts import prompt


@metric(needs=("contexts", "reference"), calls="1 for each context")
def context_precision(case: Case, judge: Judge, *, top_k: int | None = None) -> float:
    """Mean precision at the ranks of the contexts that a judge calls useful for the reference.

    Formula: sum_k v_k P@k / sum_k v_k with verdicts v_k of the first `top_k` contexts and P@k = sum_{i<=k} v_i / k; in
    [0, 1], 0 without a useful context. This is torchmetrics' RetrievalMAP(top_k).

    Examples
    --------
    >>> case = Case("Who?", contexts=("a", "b", "c"), reference="Jane Austen")
    >>> replies = iter('{"verdict": %s}' % word for word in ("true", "false", "true"))
    >>> round(context_precision(case, lambda prompt: next(replies)), 4)  # (1/1 + 2/3) / 2
    0.8333

    """
    contexts, reference = given(case.contexts), given(case.reference)
    useful = [
        bool(context.strip())
        and ask(judge, prompt("useful", question=case.question, context=context, reference=reference), verdict)
        for context in contexts[:top_k]
    ]
    return average_precision(useful)


@metric(needs=("context_ids|contexts", "reference_ids|reference_contexts"))
def context_precision_ids(case: Case, *, top_k: int | None = None) -> float | None:
    """Mean precision at the ranks of the contexts that are among the reference's: the form without a judge.

    Formula: that of `context_precision` with v_k = 1 where the name of context k is among those of the reference. The
    names are the ids; where either side has none, the texts themselves. What comes a second time is not right again. In
    [0, 1]; no value where the reference has none.

    Source: Manning et al. 2008, "Introduction to Information Retrieval", 8.4 (average precision, over what was found).

    Examples
    --------
    >>> context_precision_ids(Case("Who?", context_ids=("7", "3", "7"), reference_ids=("3",)))
    0.5

    """
    found, wanted = _names(case)
    return average_precision(_right(found[:top_k], wanted)) if wanted else None


@metric(needs=("contexts", "reference"), calls="1")
def context_recall(case: Case, judge: Judge) -> float:
    """Share of the sentences of the reference that can be attributed to the contexts.

    Formula: attributable sentences / all sentences, in [0, 1]; 0 without contexts, and then no judge is asked.

    Examples
    --------
    >>> case = Case("Who?", contexts=("Austen wrote Emma.",), reference="Austen wrote Emma. It is of 1815.")
    >>> context_recall(case, lambda prompt: '{"verdicts": [true, false]}')
    0.5

    """
    contexts, said = given(case.contexts), sentences(given(case.reference))
    if not any(context.strip() for context in contexts):
        return 0.0
    asked = prompt("attributable", sentences=said, contexts=contexts)
    return sum(ask(judge, asked, verdicts(len(said)))) / len(said)


@metric(needs=("context_ids|contexts", "reference_ids|reference_contexts"))
def context_recall_ids(case: Case, *, top_k: int | None = None) -> float | None:
    """Share of the reference's contexts that were retrieved: the form without a judge.

    Formula: |retrieved and wanted| / |wanted| of sets of names (see `context_precision_ids`), in [0, 1] however often a
    context was retrieved; no value where the reference has none.

    Source: Manning et al. 2008, 8.3 (recall).

    Examples
    --------
    >>> context_recall_ids(Case("Who?", context_ids=("3", "3", "3"), reference_ids=("3", "5")))
    0.5

    """
    found, wanted = _names(case)
    return share(found[:top_k], wanted)


@metric(needs=("contexts", "reference"), calls="2")
def context_entity_recall(case: Case, judge: Judge) -> float | None:
    """Share of the entities of the reference that the contexts name.

    Formula: |E(contexts) and E(reference)| / |E(reference)| of the sets that a judge lists, without regard to case;
    in [0, 1], 0 without contexts, no value for a reference without entities.

    Examples
    --------
    >>> case = Case("Who?", contexts=("Austen wrote Emma.",), reference="Jane Austen, 1815.")
    >>> replies = iter(['{"entities": ["Austen", "1815"]}', '{"entities": ["austen", "Austen", "Emma"]}'])
    >>> context_entity_recall(case, lambda prompt: next(replies))
    0.5

    """
    contexts, reference = given(case.contexts), given(case.reference)
    wanted = ask(judge, prompt("entities", text=reference), texts("entities"))
    if not wanted or not any(context.strip() for context in contexts):
        return 0.0 if wanted else None
    found = ask(judge, prompt("entities", text="\n\n".join(contexts)), texts("entities"))
    return share(map(str.casefold, found), map(str.casefold, wanted))


def average_precision(right: Sequence[bool]) -> float:
    """Return the mean precision at the ranks that are right, 0 if none is.

    Examples
    --------
    >>> average_precision([False, True, True])  # (1/2 + 2/3) / 2
    0.5833333333333333

    """
    hits = [rank for rank, each in enumerate(right, 1) if each]
    return sum(count / rank for count, rank in enumerate(hits, 1)) / len(hits) if hits else 0.0


def share(found: Iterable[str], wanted: Iterable[str]) -> float | None:
    """Return the share of a set that another one has, or None of an empty one.

    Examples
    --------
    >>> share(["a", "a", "b"], ["a", "c"])
    0.5

    """
    there, asked = set(found), set(wanted)
    return len(there & asked) / len(asked) if asked else None


def sentences(text: str) -> list[str]:
    """Split a text after . ! ? and what closes a quotation, where a space or a line follows.

    Examples
    --------
    >>> sentences("It is 3.5 m long. Is it? Yes")
    ['It is 3.5 m long.', 'Is it?', 'Yes']

    """
    parts = re.split(r"(?<=[.!?])[\"'”’)\]]*\s+|\n+|(?<=[。！？])", text)
    return [part.strip() for part in parts if part.strip()]


def _names(case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of what was retrieved and of what should have been: ids where both sides have them."""
    if case.context_ids is not None and case.reference_ids is not None:
        return case.context_ids, case.reference_ids
    return given(case.contexts), given(case.reference_contexts)


def _right(found: Sequence[str], wanted: Sequence[str]) -> list[bool]:
    return [name in wanted and name not in found[:place] for place, name in enumerate(found)]

"""The metrics of some cases: which can be computed, and what each case gives."""

import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from lossbench.errors import ConfigError, nearest
from lossbench.rag import answers, contexts, verdicts  # noqa: F401  # they declare their metrics
from lossbench.rag.asking import Judge, JudgeFailed, Unparsable
from lossbench.rag.cases import Case
from lossbench.rag.declared import METRICS, Metric
from lossbench.rag.embedders import Embedder, lexical
from lossbench.rag.settings import Settings

Cell = float | str
"""The value of a case, or the word that says why it has none."""
UNPARSABLE, FAILED, UNDEFINED, LACKING = "unparsable", "failed", "undefined", "not given"
NEEDS_JUDGE, NEEDS_ASPECTS = "needs rag.judge", "needs rag.aspects"


@dataclass(frozen=True)
class Measure:
    """A metric made ready: it takes a case.

    Parameters
    ----------
    name : str
        In tables: that of the metric, with the aspect judged, and with `_lexical` if likeness is one of letters.
    metric : Metric
        What it is.
    of : callable
        Case to float or None.

    """

    name: str
    metric: Metric
    of: Callable[[Case], float | None]


def measures_for(
    cases: Collection[Case], judge: Judge | None = None, embed: Embedder = lexical, settings: Settings | None = None
) -> tuple[list[Measure], dict[str, str]]:
    """Choose the metrics that can be computed.

    Parameters
    ----------
    cases : collection of Case
        Those of all systems: a metric is computed if any of them has its fields.
    judge : callable or None
        Prompt to reply.
    embed : callable
        n texts to an array (n, d).
    settings : Settings or None
        `metrics` of it are those wanted, None all; the others are parameters of metrics.

    Returns
    -------
    list of Measure, dict of str to str
        What can be computed, and the other metrics with what they need.

    Raises
    ------
    ConfigError
        If a metric that is asked for by name is not known, or lacks a judge or fields.

    """
    settings = settings or Settings()
    for name in settings.metrics or ():
        if name not in METRICS:
            raise ConfigError(f"rag.metrics: {name} is not known. {nearest(name, METRICS)}")
    lacking = {name: missing for name, each in METRICS.items() if (missing := _missing(each, cases, judge, settings))}
    for name in settings.metrics or ():
        if name in lacking:
            raise ConfigError(f"rag.metrics={name}: it {lacking[name]}. {_remedy(lacking[name])}")
    chosen = [METRICS[name] for name in settings.metrics or METRICS if name not in lacking]
    ready = [measure for each in chosen for measure in _measures(each, judge, embed, settings)]
    return ready, {} if settings.metrics else lacking


def evaluate(
    cases: Sequence[Case], measures: Sequence[Measure], parallel: int = 1, done: Callable[[], object] = lambda: None
) -> list[dict[str, Cell]]:
    """Compute the metrics of each case.

    Parameters
    ----------
    cases : sequence of Case
        n cases.
    measures : sequence of Measure
        From `measures_for`.
    parallel : int
        Threads, each with a case at a time.
    done : callable
        Called after each case.

    Returns
    -------
    list of dict
        n dicts of values by the names of the measures: a float, or "unparsable", "failed", "undefined", "not given".

    Raises
    ------
    ConfigError
        If the judge can't be asked at all. What else a judge or an embedder of one's own raises is passed on.

    Examples
    --------
    >>> cases = [Case("Who wrote Emma?", answer="Jane Austen.", contexts=("Emma is by Jane Austen.",))]
    >>> measures, _ = measures_for(cases, lambda prompt: '{"verdict": true}', settings=Settings(metrics=["context_relevance"]))
    >>> evaluate(cases, measures)
    [{'context_relevance': 1.0}]

    """  # noqa: E501
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[int, dict[str, Cell] | BaseException]] = queue.SimpleQueue()
    for number in range(len(cases)):
        waiting.put(number)

    def work() -> None:
        for number in _taken(waiting):
            try:
                finished.put((number, {measure.name: _cell(measure, cases[number]) for measure in measures}))
            except BaseException as error:  # raised again where the results are awaited
                finished.put((number, error))

    rows: list[dict[str, Cell]] = [{} for _ in cases]
    for _ in range(min(parallel, len(cases))):
        # Threads that a stopped command needn't wait for: what they are asking is lost, what was replied is kept.
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in cases:
            number, found = finished.get()
            if isinstance(found, BaseException):
                raise found
            rows[number] = found
            done()
    finally:
        for _ in _taken(waiting):
            pass
    return rows


def needed(case: Case, metric: Metric) -> list[str]:
    """Return the fields that a metric needs and a case lacks, "a|b" where it is one of two."""
    return [need for need in metric.needs if all(getattr(case, name) is None for name in need.split("|"))]


def _taken(waiting: "queue.SimpleQueue[int]") -> Iterator[int]:
    while True:
        try:
            yield waiting.get_nowait()
        except queue.Empty:
            return


def _cell(measure: Measure, case: Case) -> Cell:
    if needed(case, measure.metric):
        return LACKING
    try:
        value = measure.of(case)
    except Unparsable:
        return UNPARSABLE
    except JudgeFailed:
        return FAILED
    return UNDEFINED if value is None else float(value)


def _missing(metric: Metric, cases: Collection[Case], judge: Judge | None, settings: Settings) -> str:
    """Return what a metric needs that is not there; "" for nothing."""
    if "judge" in metric.asks and judge is None:
        return NEEDS_JUDGE
    if "aspect" in metric.asks and not settings.aspects:
        return NEEDS_ASPECTS
    if any(not needed(case, metric) for case in cases):
        return ""
    return f"needs {' and '.join(need.replace('|', ' or ') for need in metric.needs)}"


def _remedy(lacking: str) -> str:
    if lacking == NEEDS_JUDGE:
        return "Set rag.judge=URL and rag.model=NAME, or rag.judge=module.function."
    if lacking == NEEDS_ASPECTS:
        return 'Set rag.aspects={NAME: "QUESTION"}.'
    return "No row of data.path has all of them."


def _measures(metric: Metric, judge: Judge | None, embed: Embedder, settings: Settings) -> Iterator[Measure]:
    known = {**asdict(settings), "judge": judge, "embed": embed}
    asked = {name: known[name] for name in metric.asks if name != "aspect"}
    name = metric.name + ("_lexical" if "embed" in asked and embed is lexical else "")
    if "aspect" not in metric.asks:
        yield Measure(name, metric, partial(metric.function, **asked))
        return
    for aspect, question in settings.aspects.items():
        yield Measure(f"{name}.{aspect}", metric, partial(metric.function, **asked, aspect=question))

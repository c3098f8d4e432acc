"""Several tasks of one network, and goals that compete, in a report: in words, as tables, and as lines of CSV."""

from collections.abc import Iterator
from math import isfinite, isnan

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.front import MOST_GOALS, Front, fronts
from lossbench.compare.numbers.several import ALONE, Change, SeveralTasks, several_tasks
from lossbench.compare.numbers.statistics import Interval
from lossbench.compare.report.formatting import bounds, decimals, listed, span, with_interval, words
from lossbench.compare.report.provenance import commands
from lossbench.compare.report.tables import Table
from lossbench.words import counted

MEASURE = "mean_relative_change"
"""The metric of the lines of table.csv that hold the mean relative change, in percent."""


def told_of_tasks(analysis: Analysis) -> list[str]:
    """Say in words what each method does to the parts; without `combine=alone` how to get it; nothing of one task."""
    found = several_tasks(analysis)
    if found is None:
        return []
    if not found.alone:
        return [_no_reference(analysis, found)]
    counted_ones = {label: change for label, change in found.changes.items() if change.mean is not None}
    sentences = [_best(found, counted_ones)] if counted_ones else []
    sentences += [_parts_worse(found, counted_ones)] if counted_ones else []
    if len(found.zero) == len(found.parts):
        sentences.append(f"Every part of {found.alone} has a value of 0 under some seed: no change is relative to it.")
    elif found.zero:
        others = [part.name for part in found.parts if part.name not in found.zero]
        sentences.append(
            f"{found.alone} has a value of 0 of {listed(found.zero)} under some seed, which nothing can be divided by: "
            f"the change is that of {listed(others)} alone."
        )
    unpaired = {label: change.unpaired for label, change in found.changes.items() if change.unpaired}
    if unpaired:
        seeds = listed((f"{label} (seed{'s' * (len(of) > 1)} {span(of)})" for label, of in unpaired.items()), most=9)
        sentences.append(f"Not in the change, as only one of the method and {found.alone} has all parts: {seeds}.")
    return sentences


def _no_reference(analysis: Analysis, found: SeveralTasks) -> str:
    parts = listed((part.name for part in found.parts), most=9)
    if found.others_alone:
        return (
            f"No run of {listed(found.others_alone)} has results of all parts ({parts}), so what each method does to "
            "them can't be told."
        )
    return (
        f"What each method does to the parts ({parts}) is told against networks of their own, which no run here has. "
        f"This adds them: {command_of_alone(analysis)}"
    )


def command_of_alone(analysis: Analysis) -> str:
    """Return the command that adds the runs with `combine=alone`: those of the baseline, or of what else is there."""
    comparison = analysis.comparison
    changes = {"combine": ALONE, "loss.weights": None, "variant": None}
    return commands(comparison, analysis.baseline, changes)[0]


def _best(found: SeveralTasks, changes: dict[str, Change]) -> str:
    label, change = next(iter(changes.items()))
    mean = change.mean
    assert mean is not None
    digits = decimals([mean])
    sure = f" {bounds(mean, digits, '+')}" if isfinite(mean.low) else f" ({mean.note})" if mean.note else ""
    if isnan(mean.low):
        judged = f"{counted(mean.n, 'seed')} can't say how sure that is"
    elif mean.low > 0:
        judged = "so the parts are better together than alone"
    elif mean.high < 0:
        judged = "so alone they are better"
    else:
        judged = "which does not decide whether they are better together or alone"
    kind = f", {mean.kind.replace('%', ' %')}" if sure else ""
    return (
        f"Against a network of each part's own ({found.alone}), with the same seed, {label} has the "
        f"{'best ' * (len(changes) > 1)}mean relative change: {mean.mean:+.{digits}f} %{sure} over "
        f"{counted(mean.n, 'seed')}{kind}; {judged}."
    )


def _parts_worse(found: SeveralTasks, changes: dict[str, Change]) -> str:
    count = len(found.parts)
    none = [label for label, change in changes.items() if not change.worse]
    told = [
        f"{label}: {_worse(change, count)} ({listed(change.worse)})"
        for label, change in changes.items()
        if change.worse
    ]
    if not told:
        return f"No part is worse on the mean under {'any method' if len(changes) > 1 else none[0]}."
    text = f"Parts that are worse on the mean: {'; '.join(told)}."
    return f"{text} None under {listed(none)}." if none else text


def _worse(change: Change, count: int) -> str:
    if not change.worse:
        return f"0 of {count}"
    return f"{len(change.worse)} of {count}, {len(change.shown_worse) or 'none'} shown"


def tables_of_tasks(analysis: Analysis) -> list[Table]:
    """Make the table of the change of each method and of the metric of each part; none without `combine=alone`."""
    found = several_tasks(analysis)
    if found is None or not found.alone:
        return []
    digits = decimals([change.mean for change in found.changes.values() if change.mean])
    columns = [analysis.columns[part.metric].intervals for part in found.parts]
    places = [decimals(intervals.values()) for intervals in columns]
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for label in (found.alone, *found.changes):
        change = found.changes.get(label)
        cells = ["–", "–", "–"]
        if change is not None and change.seeds:
            mean = "–" if change.mean is None else f"{with_interval(change.mean, digits, '+')}"
            cells = [str(len(change.seeds)), mean, _worse(change, len(found.parts))]
        metrics = [
            with_interval(intervals[label], each) if label in intervals else "–"
            for intervals, each in zip(columns, places, strict=True)
        ]
        bold |= {(len(rows), 4 + k) for k, part in enumerate(found.parts) if _is_best(analysis, part.metric, label)}
        rows.append([label, *cells, *metrics])
    heading = ["method", "pairs", "change, %", "parts worse", *(words(part.metric) for part in found.parts)]
    title = f"{analysis.comparison.title}: change of each method against {found.alone}"
    return [Table(_caption(analysis, found), heading, rows, bold, "tasks", title)]


def _is_best(analysis: Analysis, metric: str, label: str) -> bool:
    interval = analysis.columns[metric].intervals.get(label)
    return interval is not None and interval.mean == analysis.best_mean(metric)


def _caption(analysis: Analysis, found: SeveralTasks) -> str:
    confidence = f"{100 * analysis.options.confidence:g} %"
    methods = sum(bool(change.seeds) for change in found.changes.values())
    left_out = f" without {listed(found.zero)}, which is 0 alone," if found.zero else ""
    ways = listed((f"{words(part.metric)} {'up' if part.higher else 'down'}" for part in found.parts), most=9)
    return (
        f"Several tasks, test set, {analysis.epoch}. Change: mean over the parts{left_out} of how much better each is "
        f"than under {found.alone}, relative to it, in percent (Maninis et al. 2019; better: {ways}), over pairs of "
        f"runs with the same seed, with the {confidence} interval over seeds, simultaneous over "
        f"{counted(methods, 'method')}. It depends on the metrics: an accuracy that falls from 0.99 to 0.98 falls by "
        f"1 %, its error doubles. Parts worse: those whose mean is worse than under {found.alone}; shown where the "
        f"interval of the difference, simultaneous over methods and parts, says so. All is for new seeds on this test "
        f"set. {found.alone} trains a network for each part, each with the whole budget. Best mean of each metric in "
        "bold."
    )


def tables_of_fronts(analysis: Analysis) -> list[Table]:
    """Make a table for each front: the points of each method, those that nothing dominates, and the volume."""
    return [_front_table(analysis, front) for front in fronts(analysis)]


def front_title(front: Front) -> str:
    """Name a front by its goals."""
    return f"Front of {listed(map(goal_words, front.goals), most=9)}"


def goal_words(goal: str) -> str:
    """Write the name of a goal as words: "train/term_0" is "term 0 in training"."""
    return f"{words(goal.removeprefix('train/'))} in training" if goal.startswith("train/") else words(goal)


def _front_table(analysis: Analysis, front: Front) -> Table:
    volumes = [method.hypervolume for method in front.methods.values() if method.hypervolume]
    top = max((volume.mean for volume in volumes), default=None)
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for name, method in front.methods.items():
        best = [label for label in method.labels if label in front.best]
        volume = method.hypervolume
        if volume is not None and volume.mean == top:
            bold.add((len(rows), 4))
        shown = "–" if volume is None else volume_words(volume)
        rows.append([name, str(len(method.labels)), str(len(best)), listed(best) or "–", shown])
    heading = ["method", "points", "on the front", "which", "hypervolume"]
    title = f"{analysis.comparison.title}: front of {listed(map(goal_words, front.goals))}"
    return Table(_front_caption(analysis, front), heading, rows, bold, "-".join(["front", *front.goals]), title)


def volume_words(volume: Interval) -> str:
    """Write a volume and its interval in three digits: it is a product, and so often small.

    Examples
    --------
    >>> volume_words(Interval(3, 0.000196, 1e-4, 0.0, 0.00044, "95% Student t"))
    '0.000196 [0, 0.00044] (n=3)'

    """
    sure = (
        f" [{volume.low:.3g}, {volume.high:.3g}]" if isfinite(volume.low) else f" ({volume.note})" * bool(volume.note)
    )
    return f"{volume.mean:.3g}{sure} (n={volume.n})"


def _front_caption(analysis: Analysis, front: Front) -> str:
    ways = ("higher" if up else "lower" for up in front.higher)
    goals = [f"{goal_words(goal)} ({way} is better)" for goal, way in zip(front.goals, ways, strict=True)]
    epoch = "the last epoch" if all(goal.startswith("train/") for goal in front.goals) else analysis.epoch
    text = (
        f"Goals: {listed(goals, most=9)}, {epoch}, means over seeds. On the front: where no other point is as good in "
        "every goal and better in one."
    )
    if len(front.goals) <= MOST_GOALS:
        confidence = f"{100 * analysis.options.confidence:g} %"
        text += (
            " Hypervolume: of what the points of a method are better than, down to the reference, the worst of all "
            f"runs ({reference_words(front)}), with the {confidence} Student-t interval over n seeds; points that "
            "differ in loss.weights alone are of one method, and more points have a larger volume by themselves."
        )
    if front.alone:
        text += f" {listed(front.alone)} {'are' if len(front.alone) > 1 else 'is'} several networks and so no point."
    if front.without:
        text += f" Without a run that has all goals: {listed(front.without)}."
    return text


def reference_words(front: Front) -> str:
    """Write the reference of the volumes."""
    return ", ".join(
        f"{goal_words(goal)} {value:.4g}" for goal, value in zip(front.goals, front.reference, strict=True)
    )


def csv_rows(analysis: Analysis) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield label and further lines of table.csv: change, parts worse, and the hypervolume of each method."""
    found = several_tasks(analysis)
    for label, change in (found.changes if found else {}).items():
        if change.mean is not None and found is not None:
            yield label, {"metric": MEASURE, "baseline": found.alone, **_of_interval(change.mean)}
        if change.seeds:
            n = {"n": len(change.seeds)}
            yield label, {"metric": "parts_worse", "mean": len(change.worse), **n}
            yield label, {"metric": "parts_shown_worse", "mean": len(change.shown_worse), **n}
    for front in fronts(analysis):
        for name, method in front.methods.items():
            if method.hypervolume is not None:
                yield name, {"metric": f"hypervolume({' '.join(front.goals)})", **_of_interval(method.hypervolume)}


def _of_interval(interval: Interval) -> dict[str, object]:
    return {
        "n": interval.n, "mean": interval.mean, "sd": interval.sd, "low": interval.low, "high": interval.high,
        "interval": interval.note or interval.kind,
    }  # fmt: skip

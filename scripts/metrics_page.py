"""Write the part of docs/metrics.md below its marker: every metric of every task, from `lossbench.tasks`.

python scripts/metrics_page.py
"""

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

from lossbench.tasks import own_tasks
from lossbench.tasks.task import Metric, Task

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
MARKER = "<!-- below: written by scripts/metrics_page.py from lossbench/tasks -->"
ARROWS = {"higher": "↑", "lower": "↓", "neither": "–"}
PARTS = {"train": " (training part only)", "val": " (validation part only)", "": ""}
FIRST = ("multiclass", "binary", "regression")
"""The tasks that come first: others share their metrics, which stand in one table only."""


def main() -> None:
    """Write the page anew, what is above the marker excepted."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return the text of a page with what belongs below its marker."""
    above, marker, _ = text.partition(MARKER)
    if not marker:
        raise SystemExit(f"{PAGE} has no line {MARKER}")
    return f"{above}{MARKER}\n\n" + "\n\n".join(sections().values()) + "\n"


def sections() -> dict[str, str]:
    """Return the section of each task, by its name."""
    known = own_tasks()
    order = [*FIRST, *(name for name in known if name not in FIRST)]
    order.sort(key=lambda name: known[name].learner != "supervised")
    defined: dict[Metric, str] = {}
    found = {}
    for name in order:
        found[name] = _section(known[name], defined)
        defined = {**dict.fromkeys(known[name].metrics, name), **defined}
    return found


def _section(task: Task, defined: dict[Metric, str]) -> str:
    """Return the section of a task; metrics that another section has defined are named only."""
    metrics = [
        metric for metric in task.metrics if not metric.name.startswith(tuple(f"{part}_" for part in task.parts))
    ]
    own = [metric for metric in metrics if metric not in defined and not metric.truth]
    data = f"Data: {', '.join(f'`{name}`' for name in task.data)}. " if task.data != (task.name,) else ""
    monitor = task.metric(task.monitor)
    parts = [
        f"## {task.name}",
        f"{task.title[0].upper()}{task.title[1:]}. {data}Monitor: `{task.monitor}` {ARROWS[monitor.better]}. "
        f"Baseline: `{task.baseline}`. Learner: `{task.learner}`. "
        f"In the printed table: {_names(task.metric(name) for name in task.columns)}.",
    ]
    if task.parts:
        each = ", ".join(f"`{part}_METRIC` is a metric of [{of}](#{of})" for part, of in task.parts.items())
        parts.append(f"{each}; metrics that look at label noise, imbalance or validation samples are left out.")
    if own:
        rows = [_row(metric) for when in ("epoch", "end") for metric in own if metric.when == when]
        parts.append("\n".join(["| metric | better | when | meaning |", "|---|---|---|---|", *rows]))
    shared = [metric for metric in metrics if metric in defined and not metric.truth]
    for other in dict.fromkeys(defined[metric] for metric in shared):
        parts.append(f"As in [{other}](#{other}): {_names(each for each in shared if defined[each] == other)}.")
    if twins := [metric for metric in metrics if metric.truth]:
        parts.append(f"Against the target as it was observed, in place of the true one: {_names(twins)}.")
    if task.same_as:
        same = ", ".join(f"`{name}` is `{metric}`" for name, metric in task.same_as.items())
        parts.append(f"Not computed, since they are equal to another one here: {same}.")
    return "\n\n".join(part if part.startswith(("#", "|")) else _wrapped(part) for part in parts)


def _wrapped(text: str) -> str:
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _row(metric: Metric) -> str:
    meaning = f"{metric.meaning}{PARTS[metric.part]}".replace("|", "\\|")
    return f"| `{key(metric)}` | {ARROWS[metric.better]} | {metric.when} | {meaning} |"


def _names(metrics: Iterable[Metric]) -> str:
    return ", ".join(f"`{key(metric)}`" for metric in metrics)


def key(metric: Metric) -> str:
    """Return the key of a metric as it stands on the page: that of each class, label or fifth ends in /K."""
    return metric.name + "/K" * bool(metric.per)


if __name__ == "__main__":
    main()

"""Where the numbers come from: the command that repeats a comparison, versions, what each run cost, and its ids."""

import math
import shlex
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import Comparison
from lossbench.compare.numbers.statistics import mean_interval
from lossbench.compare.report.formatting import with_interval
from lossbench.compare.report.tables import Table
from lossbench.records.schema import Record
from lossbench.words import counted

_NOT_REPEATED = ("rerun", "compare.")
_COST = {
    "seconds": "seconds a run",
    "training_seconds": "of these training",
    "samples_per_second": "samples/s",
    "peak_memory_mb": "memory, MB",
}

Overrides = dict[str, str]


def commands(
    comparison: Comparison, label: str | None = None, changes: Mapping[str, str | None] | None = None
) -> list[str]:
    """Return the commands that make the runs again: one, if they are all combinations of some values.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    label : str, optional
        Only those of this label.
    changes : mapping, optional
        Other values than the runs had; None takes a key, and all that is below it, away.

    """
    groups: dict[tuple[str, ...], list[Overrides]] = defaultdict(list)
    for name, entries in comparison.entries.items():
        for entry in entries.values() if label in (None, name) else ():
            groups[_config_folder(entry)].append(_changed(_overrides(entry), changes or {}))
    return [line for options, runs in groups.items() for line in _lines(list(options), runs)]


def _changed(overrides: Overrides, changes: Mapping[str, str | None]) -> Overrides:
    kept = {
        key: value
        for key, value in overrides.items()
        if not any(key.lstrip("+~") == name or key.lstrip("+~").startswith(f"{name}.") for name in changes)
    }
    return {**kept, **{name: value for name, value in changes.items() if value is not None}}


def _lines(options: list[str], runs: list[Overrides]) -> list[str]:
    """Write one command for runs that are a full grid, else one for each set of values other than the seed's."""
    if (of_variants := _line_of_variants(options, runs)) is not None:
        return [of_variants]
    keys = list(dict.fromkeys(key for run in runs for key in run))
    values = {key: list(dict.fromkeys(run[key] for run in runs if key in run)) for key in keys}
    size = 1
    for found in values.values():
        size *= len(found)
    distinct = {tuple(sorted(run.items())) for run in runs}
    if all(set(run) == set(keys) for run in runs) and size == len(distinct):
        return [_line(options, values)]
    groups: dict[tuple[tuple[str, str], ...], list[Overrides]] = defaultdict(list)
    for run in runs:
        groups[tuple((key, value) for key, value in run.items() if key != "seed")].append(run)
    if len(groups) == 1:  # other seeds of the same values: the grid failed because a run was made without `seed=`
        return [_line(options, values)]
    return [line for members in groups.values() for line in _lines(options, members)]


def _line_of_variants(options: list[str], runs: list[Overrides]) -> str | None:
    """Write one command for runs that all have names, if they are all combinations of variants and other values."""
    named: dict[str, list[Overrides]] = defaultdict(list)
    for run in runs:
        named[run.get("variant", "")].append({key: value for key, value in run.items() if key != "variant"})
    if len(named) < 2 or "" in named:
        return None
    values = {
        name: {key: list(dict.fromkeys(run.get(key, "") for run in of)) for key in of[0]} for name, of in named.items()
    }
    first, *others = values.values()
    shared = {key: found for key, found in first.items() if all(other.get(key) == found for other in others)}
    own = {name: {key: found for key, found in of.items() if key not in shared} for name, of in values.items()}
    size = math.prod(map(len, shared.values()))
    if any(len(found) > 1 for of in own.values() for found in of.values()) or not all(own.values()):
        return None
    if any(len({tuple(sorted(run.items())) for run in of}) != size for of in named.values()):
        return None
    words = [
        f"variants.{name}={' '.join(f'{key}={found[0]}' for key, found in of.items())}" for name, of in own.items()
    ]
    words += [f"{key}={','.join(_in_order(found))}" for key, found in shared.items()]
    return " ".join(["python -m lossbench -m", *map(shlex.quote, [*options, *words])])


def _line(options: list[str], values: dict[str, list[str]]) -> str:
    several = ["-m"] if any(len(found) > 1 for found in values.values()) else []
    words = [f"{key}={','.join(_in_order(found))}" for key, found in values.items()]
    return " ".join(["python -m lossbench", *several, *map(shlex.quote, [*options, *words])])


def _in_order(values: list[str]) -> list[str]:
    return sorted(values, key=int) if all(value.isdigit() for value in values) else values


def _overrides(entry: Record) -> Overrides:
    """Return the overrides of a run as it was started; where its folder has none, the choices of its groups."""
    lines = _yaml(entry, "overrides.yaml")
    if not isinstance(lines, list):
        chosen = {group: choice for group, choice in entry["choices"].items() if group not in ("compare", "tracking")}
        return {**chosen, "seed": str(entry["seed"])}
    pairs = (str(line).partition("=") for line in lines)
    return {key: value for key, _, value in pairs if not key.startswith(_NOT_REPEATED)}


def _config_folder(entry: Record) -> tuple[str, ...]:
    """Return the user's own `--config-dir`, if the run had one."""
    if "config_dir" in entry:
        return "--config-dir", entry["config_dir"]
    found = _yaml(entry, "hydra.yaml")  # of runs of earlier versions
    sources = found["hydra"]["runtime"].get("config_sources", []) if isinstance(found, dict) else []
    own = [source["path"] for source in sources if source["provider"] == "command-line"]
    return ("--config-dir", own[0]) if own else ()


def _yaml(entry: Record, name: str) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.load(Path(entry["folder"]) / ".hydra" / name))
    except OSError:
        return None


def cost_table(analysis: Analysis) -> Table:
    """Make the table of seconds, samples per second and memory of each loss."""
    rows = []
    for label in analysis.order:
        costs = [entry["cost"] for entry in analysis.comparison.finished(label) if entry.get("cost")]
        if costs:
            cells = [
                with_interval(mean_interval([cost[name] for cost in costs]), 1 if name != "samples_per_second" else 0)
                for name in _COST
            ]
            rows.append([label, str(len(costs)), *cells])
    caption = (
        "Mean and half-width of the 95 % Student-t interval over n runs. Runs that shared the machine with other work "
        "are slower; memory is the largest seen at the end of an epoch, of the whole process, libraries included."
    )
    return Table(caption, ["loss", "n", *_COST.values()], rows, set())


def cost_told(analysis: Analysis) -> str:
    """Say in a sentence what the runs took: those of the best loss, and of the fastest and slowest one."""
    seconds = {
        label: mean_interval([cost["seconds"] for cost in costs])
        for label in analysis.counted
        if (costs := [each["cost"] for each in analysis.comparison.finished(label) if each.get("cost")])
    }
    if not seconds:
        return ""
    told = {label: f"{with_interval(each, 1).removesuffix(' (no spread)')} s" for label, each in seconds.items()}
    best, *_ = seconds
    text = f"A run took {told[best]} with {best} (mean over {counted(seconds[best].n, 'run')})"
    if len(seconds) > 1:
        fast, slow = (pick(seconds, key=lambda label: seconds[label].mean) for pick in (min, max))
        text += f"; the fastest loss was {fast} with {told[fast]}, the slowest {slow} with {told[slow]}"
    entries = [entry for label in seconds for entry in analysis.comparison.finished(label) if entry.get("cost")]
    total = sum(entry["cost"]["seconds"] for entry in entries)
    most = max(entry["cost"]["peak_memory_mb"] or 0.0 for entry in entries)
    return f"{text}. All {counted(len(entries), 'run')} together: {total:,.0f} s; at most {most:,.0f} MB of memory."


def versions_table(comparison: Comparison) -> Table:
    """Make the table of versions, with all that occur where runs differ."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for entry in comparison.all_entries:
        for name, version in (entry.get("versions") or {}).items():
            found[name][str(version)] = None
        git = entry.get("git")
        if git:
            found["git commit"][git["commit"][:12] + (" with changes" if git["changed"] else "")] = None
    rows = [[name, ", ".join(versions)] for name, versions in found.items()]
    return Table("Versions that the runs were made with.", ["what", "version"], rows, set())


def cells_table(analysis: Analysis) -> Table:
    """Make the table of all cells: how each ended, its main metric, key, folder and MLflow run."""
    comparison = analysis.comparison
    rows = []
    for label in analysis.order:
        for seed in comparison.seeds:
            entry = comparison.entries[label].get(seed)
            value = analysis.scores[label].get(seed, {}).get(analysis.metric)
            if entry is None:
                why = comparison.dropped.get(label, {}).get(seed, "missing")
                rows.append([label, str(seed), why, "–", "–", "–", "–"])
                continue
            status = entry["status"] + (f": {entry['error']}" if entry.get("error") else "")
            shown = "–" if value is None else f"{value:.4f}"
            ids = [entry["key"][:12], entry.get("mlflow_run_id") or "–", entry.get("folder") or "–"]
            rows.append([label, str(seed), status, shown, *ids])
    heading = ["loss", "seed", "status", f"test/{analysis.metric}", "key", "MLflow run", "folder"]
    told = f"Every cell; the metric is that of the {analysis.epoch}. Of the key its first 12 digits: runs.csv has all."
    return Table(told, heading, rows, set())

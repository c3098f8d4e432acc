"""Whether the runs of a comparison may be held against each other: protocol, pairing and versions."""

from collections import defaultdict
from typing import Any

from lossbench.compare.numbers.comparisons import Comparison
from lossbench.compare.numbers.histories import column
from lossbench.compare.numbers.labels import meanings
from lossbench.compare.report.formatting import listed
from lossbench.config.axes import axes_of
from lossbench.records.schema import Record
from lossbench.words import counted

PAIRED = {
    "targets": "training targets",
    "split": "validation split",
    "weights": "initial weights",
    "order": "batch order",
}
"""What all losses share under one seed, by its hash in the record."""
FEW_SAMPLES, FEW_OF_A_CLASS = 200, 10
"""A validation part with fewer can't choose an epoch well: a share of so many has a standard error up to 0.035, and the
recall of such a class, which counts as much as any other in a mean over classes, one up to 0.16."""


def protocol(comparison: Comparison) -> str:
    """Say how the values of the runs were chosen, and whether the losses were put on one scale.

    Parameters
    ----------
    comparison : Comparison
        The runs.

    """
    told = dict.fromkeys(_protocol(entry) for entry in comparison.all_entries)
    return " ".join(told)


def cautions(comparison: Comparison) -> list[str]:
    """Say what the runs of a comparison do not share although they should.

    Parameters
    ----------
    comparison : Comparison
        The runs.

    Returns
    -------
    list of str
        A sentence for each package in several versions, for metrics of several versions, for several engines, for each
        thing that runs of one seed do not share, for runs that began warm, for generators that have collapsed, for runs
        that learned nothing, and for best validation epochs that few samples chose.

    """
    return [
        *_mixed_versions(comparison),
        *_mixed_metrics(comparison),
        *_mixed_engines(comparison),
        *_unshared(comparison),
        *warm_starts(comparison),
        *_collapsed(comparison),
        *_untrained(comparison),
        *_chosen_by_few(comparison),
    ]


def drawn_by_seed(comparison: Comparison) -> str:
    """Say what another seed draws anew, and so what the spread over seeds covers.

    Parameters
    ----------
    comparison : Comparison
        The runs.

    """
    anew = [name for key, name in PAIRED.items() if _differs_by_seed(comparison, key)]
    return f"Each seed draws anew: {listed(anew)}; so the spread over seeds is of these." if anew else ""


def _differs_by_seed(comparison: Comparison, key: str) -> bool:
    """Tell whether a hash differs between the seeds of some loss."""
    runs = comparison.entries.values()
    hashes = ({entry["hashes"][key] for entry in each.values() if key in entry.get("hashes", {})} for each in runs)
    return any(len(found) > 1 for found in hashes)


def names(comparison: Comparison) -> list[str]:
    """Say what the names of variants stand for: the loss, what is combined with it and its parameters."""
    found = meanings(comparison.entries)
    return [f"{listed(f'{label} is {meant}' for label, meant in found.items())}."] if found else []


def warm_starts(comparison: Comparison) -> list[str]:
    """Say which runs began from the weights of others, and what these had cost: it is not in their own epochs."""
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for label, entries in comparison.entries.items():
        starts = [start for entry in entries.values() if (start := entry.get("warm_start"))]
        if starts:
            told[starts[0]["method"], _more(starts)].append(label)
    return [
        f"{listed(members)} began from the last weights of the run of {source} with the same seed, not from the "
        f"initial weights that the others share: {more}"
        for (source, more), members in told.items()
    ]


def _more(starts: list[dict[str, Any]]) -> str:
    epochs = sorted({start["epochs"] for start in starts if start.get("epochs") is not None})
    seconds = [start["seconds"] for start in starts if start.get("seconds") is not None]
    if not epochs:
        return "that run is missing."
    shown = counted(epochs[0], "epoch") if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]} epochs"
    cost = f" ({sum(seconds) / len(seconds):.1f} s a run)" if seconds else ""
    return f"{shown}{cost} more than their own, which their cost does not count."


def _protocol(entry: Record) -> str:
    known: dict[str, Any] = entry.get("protocol") or {"name": "default"}
    scaled = ""
    if entry.get("calibration"):
        scaled = " Each loss is scaled so that its first gradient has the norm of the baseline's."
    if known["name"] != "tuned":
        return f"Protocol: every loss with the values of its YAML and the same training settings.{scaled}"
    seeds = ", ".join(map(str, known["seeds"]))
    return (
        f"Protocol: tuned. Learning rate and parameters of each loss were chosen in {known['trials']} trials "
        f"by the validation part on seeds {seeds}, which are not among those reported.{scaled}"
    )


def _mixed_versions(comparison: Comparison) -> list[str]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in comparison.all_entries:
        for name, version in (entry.get("versions") or {}).items():
            found[name][version] += 1
    return [
        f"Runs were made with several versions of {name}: "
        + listed(f"{version} ({counted(count, 'run')})" for version, count in versions.items())
        + "."
        for name, versions in found.items()
        if len(versions) > 1
    ]


def _mixed_metrics(comparison: Comparison) -> list[str]:
    """Say that some runs were measured before metrics were given another meaning; their records stay as they are."""
    versions = [int(entry.get("metrics_version") or 1) for entry in comparison.all_entries if entry["metrics"]["last"]]
    old = sum(version < max(versions) for version in versions) if versions else 0
    if not old:
        return []
    were = "was" if old == 1 else "were"
    return [
        f"{counted(old, 'run')} of {len(versions)} {were} measured by an earlier version of "
        "lossbench: calibration errors had other bins, and AUROC, average precision, AURC and NLL were taken from "
        "probabilities, where those near 1 are alike. The old numbers stand as they are; rerun=true measures anew."
    ]


def _mixed_engines(comparison: Comparison) -> list[str]:
    """Say that some runs trained in stacks and others alone: the last digits of their numbers differ."""
    names = [entry["engine"]["name"] for entry in comparison.all_entries if entry.get("engine")]
    stacked = names.count("stacked")
    if not 0 < stacked < len(names):
        return []
    alone = len(names) - stacked
    shown = f"{counted(stacked, 'run')} trained in stacks, {alone} alone"
    return [f"{shown}: their numbers differ by rounding, far less than by seeds."]


def _collapsed(comparison: Comparison) -> list[str]:
    """Say which generators make too few different samples at their last epoch; their numbers count all the same."""
    told = []
    for label in comparison.entries:
        last = {entry["seed"]: entry["metrics"]["last"] or {} for entry in comparison.finished(label)}
        seeds = [str(seed) for seed, metrics in last.items() if metrics.get("test/collapsed")]
        told += [f"{label} (seed{'s' if len(seeds) > 1 else ''} {listed(seeds)})"] if seeds else []
    return [f"Collapsed at the last epoch, so that few different samples are drawn: {listed(told)}."] if told else []


def _untrained(comparison: Comparison) -> list[str]:
    """Say which losses were 0 at every step of a run, so that nothing moved the weights; their numbers count."""
    told = []
    for label in comparison.entries:
        losses = [column(run.get("history"), "train/loss") for run in comparison.finished(label)]
        told += [label] if any(run and not any(run) for run in losses) else []
    return [f"The training loss was 0 in every epoch, so that nothing was learned: {listed(told)}."] if told else []


def _chosen_by_few(comparison: Comparison) -> list[str]:
    """Say how many samples chose the best validation epochs, where they are few or a class is nearly absent."""
    told = []
    for entry in comparison.all_entries:
        facts = entry.get("data") or {}
        size = (facts.get("sizes") or {}).get("val")
        if entry["metrics"]["best_val"] is None or not size:
            continue
        counts = facts.get("val_class_counts") or []
        counts = [] if comparison.task.target == "tokens" else counts  # a vocabulary has rare ones
        names = facts.get("class_names") or [str(number) for number in range(len(counts))]
        rarest = min(range(len(counts)), key=counts.__getitem__, default=None)
        few = rarest is not None and counts[rarest] < FEW_OF_A_CLASS
        if size < FEW_SAMPLES or few:
            of_class = ""
            if rarest is not None and few:
                only = f"only {counts[rarest]}" if counts[rarest] else "none"
                of_class = f", {only} of them of class {names[rarest]}"
            told.append((size, counts[rarest] if rarest is not None else 0, of_class))
    if not told:
        return []
    size, _, of_class = min(told)
    return [
        f"The best validation epochs were chosen by {counted(size, 'sample')}{of_class}: too few to tell epochs apart, "
        "so that metrics at these epochs vary with the choice, too. Those at the last epoch don't."
    ]


def _unshared(comparison: Comparison) -> list[str]:
    sentences = []
    for key, name in PAIRED.items():
        hashes: dict[tuple[int, str], set[str]] = defaultdict(set)
        for entry in comparison.all_entries:
            if key in entry.get("hashes", {}):
                own = axes_of(entry)["sampler"] if key == "order" else ""  # another sampler is another order
                if key == "weights" and (start := entry.get("warm_start")):
                    own = start["key"]  # of these, `warm_starts` tells
                hashes[entry["seed"], own].add(entry["hashes"][key])
        seeds = dict.fromkeys(str(seed) for (seed, _), values in sorted(hashes.items()) if len(values) > 1)
        if seeds:
            sentences.append(f"The runs of seed {listed(seeds)} do not share their {name}: they are not paired.")
    return sentences

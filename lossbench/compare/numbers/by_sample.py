"""The runs of a comparison by test sample: from their files to the sources of chance in the difference of two losses.

Each run is read once and kept as what a sample adds to each mean, and as values on bootstrap draws of the samples for
what is no mean; the draws are the same for all runs of a problem.
"""

from collections import ChainMap, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.numbers.comparisons import Comparison
from lossbench.compare.numbers.two_sources import Runs, Sources, in_groups, of_centred, runs_by_draw
from lossbench.records.predictions import opened
from lossbench.records.schema import Record
from lossbench.tasks.by_sample import Mean, Measured, OfSums, has_by_sample
from lossbench.tasks.by_sample import by_sample as measures_of
from lossbench.tasks.task import Task

PARTS = {"last": "last", "best_val": "best"}
"""Of the epochs whose predictions a run keeps."""
DRAWS = 200
"""Bootstrap draws of the samples: a standard error from them is right within 5 %, and t takes account of it."""
LARGEST_BLOCK = 2**22
"""Weights that are worked on at once."""
ROUNDING = 16 * float(np.finfo(np.float32).eps)
"""Targets that differ by less than this share of the largest are the same."""
MOST_WITHOUT_A_VALUE = 0.1
"""A metric that has none on more of the draws, as without a sample of a class, is left out."""

Array = NDArray[Any]
Run = tuple[str, int]


@dataclass(frozen=True, eq=False)
class BySample:
    """What the samples tell of the runs of a comparison.

    Parameters
    ----------
    tables : dict
        By metric the runs (label, seed), whose order is that of the second, and what they have by chance of samples.
    new_samples_by_seed : bool
        Whether each seed has test samples of its own, the same for all losses: then new seeds are new samples, and an
        interval over seeds speaks of both.
    reason : str
        Why there are no tables, as the end of a sentence; "" if there are.

    """

    tables: dict[str, tuple[dict[Run, int], Runs]] = field(default_factory=dict)
    new_samples_by_seed: bool = False
    reason: str = ""

    def sources(self, label: str, other: str, metric: str, seeds: Collection[int]) -> Sources | None:
        """Return the sources of chance in the mean over seeds of label - other; None where they are not known."""
        return self.of_pairs(metric, {(label, other): seeds})[label, other]

    def of_pairs(self, metric: str, pairs: Mapping[tuple[str, str], Collection[int]]) -> dict[Any, Sources | None]:
        """Return `sources` of each pair of labels, from the seeds that it has in common."""
        found: dict[Any, Sources | None] = dict.fromkeys(pairs)
        if metric not in self.tables:
            return found
        rows, runs = self.tables[metric]
        places: dict[int, list[tuple[Any, list[list[int]]]]] = defaultdict(list)
        for pair, seeds in pairs.items():
            told = [[rows.get((label, seed), -1) for seed in seeds] for label in pair]
            if len(seeds) > 1 and -1 not in told[0] and -1 not in told[1]:
                places[len(seeds)].append((pair, told))
        for alike in places.values():
            one, other = np.array([told for _, told in alike]).swapaxes(0, 1)
            found |= dict(zip((pair for pair, _ in alike), runs.differences(one, other), strict=True))
        return found


@dataclass(eq=False)
class _Draws:
    """Bootstrap draws of the samples, or of groups of them."""

    weights: Array
    groups: Array | None
    units: int

    @classmethod
    def of(cls, problem: str, size: int, groups: Array | None, draws: int) -> "_Draws":
        rng = np.random.default_rng(list(problem.encode()))
        place = None if groups is None else np.unique(groups, return_inverse=True)[1]
        units = size if place is None else int(place.max()) + 1
        weights = rng.multinomial(units, np.full(units, 1 / units), size=draws)
        weights = weights if place is None else weights[:, place]
        # Kept as they are used where that is little, and by columns: sums take one sample after the other.
        small = draws * size <= LARGEST_BLOCK
        return cls(np.asfortranarray(weights.astype(np.float64 if small else np.uint16)), place, units)

    def measure(self, found: dict[str, Measured]) -> dict[str, tuple[float, Array]]:
        """Return value and values on the draws (B,) of metrics that are no means."""
        rows = max(1, LARGEST_BLOCK // self.weights.shape[1])
        once = np.ones((1, self.weights.shape[1]), dtype=np.uint16)
        blocks = [once, *(self.weights[start : start + rows] for start in range(0, len(self.weights), rows))]
        values: dict[str, list[Array]] = defaultdict(list)
        for block in blocks:
            weights, sums = np.asfortranarray(block, dtype=np.float64), {}
            for name, each in found.items():
                if isinstance(each, OfSums):  # many metrics are of the same sums
                    key = id(each.contributions)
                    if key not in sums:
                        sums[key] = each.sums(weights)
                    values[name].append(each.of_sums(sums[key]))
                elif not isinstance(each, Mean):
                    values[name].append(each.of(weights))
        return {name: (float(told[0][0]), np.concatenate(told[1:])) for name, told in values.items()}


@dataclass(eq=False)
class _Reduced:
    """A run without its arrays: of means the mean, what samples add and the largest value; of others the draws."""

    means: dict[str, tuple[float, Array, float]]
    drawn: dict[str, tuple[float, Array]]


def by_sample(comparison: Comparison, select: str, metrics: Collection[str], draws: int = DRAWS) -> BySample:
    """Read the finished runs of a comparison by test sample.

    Parameters
    ----------
    comparison : Comparison
        Each record has the key `folder`.
    select : str
        The epoch that counts. Predictions are kept of "last" and "best_val".
    metrics : collection of str
        Names as in `selection.test_metrics`; those that are not known by sample are left out.
    draws : int
        Bootstrap draws, for the metrics that are no means.

    """
    if select not in PARTS:
        return BySample(reason=f"no run keeps its predictions of the {select} epoch")
    if not has_by_sample(comparison.task):
        return BySample(reason=f"the metrics of {comparison.task.title} are not known by sample")
    kinds: list[dict[str, Any]] = []  # of samples: one, if all runs have the same
    same: dict[Run, int] = {}
    reduced: dict[Run, _Reduced] = {}
    drawn: _Draws | None = None
    for label in comparison.entries:
        for entry in comparison.finished(label):
            run = label, entry["seed"]
            try:
                with opened(entry["folder"], PARTS[select]) as file:
                    arrays = ChainMap(_known_of(entry), file)  # type: ignore[arg-type]  # nothing is written into it
                    own = _samples_of(arrays)
                    kind = next((place for place, known in enumerate(kinds) if _alike(known, own)), len(kinds))
                    if kind == len(kinds):
                        kinds.append(own)
                    same[run] = kind
                    if len(kinds) > 1:
                        continue  # the tables are of no use; which samples differ is
                    if drawn is None:
                        groups = arrays.get("group")
                        drawn = _Draws.of(comparison.problem, len(arrays["target"]), groups, draws)
                    reduced[run] = _reduce(comparison.task, arrays, metrics, drawn)
            except (OSError, ValueError, KeyError, EOFError, BadZipFile, ZlibError):
                same.pop(run, None)  # as without a file
    if not same:
        return BySample(reason="no run has kept its predictions")
    if len(set(same.values())) > 1:
        each = {seed: {told for (_, other), told in same.items() if other == seed} for _, seed in same}
        by_seed = all(len(told) == 1 for told in each.values())
        whose = "each seed has test samples of its own" if by_seed else "runs of one seed have other test samples"
        return BySample(new_samples_by_seed=by_seed, reason=whose)
    return BySample(_tables(reduced, drawn.units if drawn else 0))


def _known_of(entry: Record) -> dict[str, Array]:
    counts = (entry.get("data") or {}).get("train_class_counts")
    return {} if counts is None else {"class_counts": np.asarray(counts)}


def _samples_of(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return what is the same if two runs have the same samples and targets in the same order, for `_alike`."""
    told: dict[str, Any] = {}
    for name in ("index", "target", "group"):
        if name in arrays:
            found = np.ascontiguousarray(arrays[name])
            told[name] = found if found.dtype.kind == "f" else (found.shape, blake2b(found.tobytes()).digest())
    return told


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether samples are the same, numbers but for rounding: targets have been standardised and back by seed."""
    if set(one) != set(other):
        return False
    for name, found in one.items():
        if not isinstance(found, np.ndarray):
            if found != other[name]:
                return False
            continue
        if not isinstance(other[name], np.ndarray) or found.shape != other[name].shape:
            return False
        if np.array_equal(found, other[name]):
            continue
        tolerance = ROUNDING * float(np.abs(found[np.isfinite(found)]).max(initial=0))
        if not np.allclose(found, other[name], rtol=0, atol=tolerance, equal_nan=True):
            return False
    return True


def _reduce(task: Task, arrays: Mapping[str, Array], metrics: Collection[str], drawn: _Draws) -> _Reduced:
    with np.errstate(all="ignore"):  # what is not finite is left out of the tables
        found = measures_of(task, arrays, metrics)
    means = {}
    for name, each in found.items():
        if isinstance(each, Mean):
            mean = float(each.values.mean())
            deviations = each.values[None] - mean
            if drawn.groups is not None:
                deviations = in_groups(deviations, drawn.groups)
            means[name] = mean, deviations[0].astype(np.float32), float(np.abs(each.values).max())
    return _Reduced(means, drawn.measure(found))


def _tables(reduced: dict[Run, _Reduced], units: int) -> dict[str, tuple[dict[Run, int], Runs]]:
    """Make the table of each metric; what it was made from is given up, so that nothing is held twice."""
    tables: dict[str, tuple[dict[Run, int], Runs]] = {}
    for name in dict.fromkeys(name for each in reduced.values() for name in each.means):
        told = {run: each.means.pop(name) for run, each in reduced.items() if name in each.means}
        told = {run: of for run, of in told.items() if np.isfinite(of[0]) and np.isfinite(of[2])}
        if told:
            means, deviations, largest = zip(*told.values(), strict=True)
            tables[name] = _places(told), of_centred(np.array(means), np.stack(deviations), max(largest))
    for name in dict.fromkeys(name for each in reduced.values() for name in each.drawn):
        draws = {run: each.drawn.pop(name) for run, each in reduced.items() if name in each.drawn}
        draws = {run: of for run, of in draws.items() if np.isfinite(of[0]) and _known(of[1])}
        if draws:
            values, replicates = zip(*draws.values(), strict=True)
            tables[name] = _places(draws), runs_by_draw(np.array(values), np.stack(replicates), units)
    return tables


def _known(replicates: Array) -> bool:
    return bool(np.isnan(replicates).mean() <= MOST_WITHOUT_A_VALUE)


def _places(runs: Mapping[Run, Any]) -> dict[Run, int]:
    return {run: place for place, run in enumerate(runs)}

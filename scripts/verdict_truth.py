"""Measure what the verdict promises, on sweeps whose truth is known: the tables of docs/statistics.md.

Made-up sweeps go through `lossbench.compare.numbers.analysis.analyse`, as those of real runs do, a race through
`lossbench.race.decide`. Seed s of loss k has on sample i the value

    m_k + a_ks + b_i + c_ki + e_ksi

of a loss, seeds, samples, samples under this loss, and the rest. Discrete values are 1 where that is above 0. The truth
is in closed form: for new seeds on these samples a and e are averaged over, for new seeds and new samples all but m.
A number after +- is the standard error of the share before it, by chance of the made-up sweeps.

  python scripts/verdict_truth.py                             all parts, some minutes on two cores
  python scripts/verdict_truth.py --parts=coverage,family     some of: coverage, family, equivalence, power, race, mnist
  LOSSBENCH_DATA=DIR python scripts/verdict_truth.py --parts=mnist
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import isnan
from multiprocessing import get_context
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.by_sample import BySample
from lossbench.compare.numbers.comparisons import Comparison
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.two_sources import runs_by_sample
from lossbench.tasks import task_named

Floats = NDArray[Any]
Rng = np.random.Generator
Population = Literal["seeds", "seeds_and_data"]
Cell = tuple[Any, ...]
METRIC = "accuracy"
POPULATIONS: tuple[Population, ...] = ("seeds", "seeds_and_data")
SHARES = {"mixed": (1, 1, 1), "seeds": (10, 1, 1), "samples": (1, 10, 1), "rest": (0, 0, 1)}
"""What seeds, samples and rest contribute to the variance of a difference, in proportion."""
TARGETS = (93.0, 97.0)
"""Coverage in per cent."""


@dataclass(frozen=True)
class Sweep:
    """A made-up sweep: values (losses, seeds, samples), and the true mean of each loss here and for new samples."""

    values: Floats
    here: Floats
    everywhere: Floats


def normal(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Draw normal noise."""
    return rng.standard_normal(shape, dtype=np.float32)


def exponential(rng: Rng, shape: tuple[int, ...]) -> Floats:
    """Draw skewed noise."""
    return rng.standard_exponential(shape, dtype=np.float32) - 1


def continuous(
    rng: Rng, means: Iterable[float], seeds: int, samples: int, shares: str, draw: Any = normal, lopsided: bool = False
) -> Sweep:
    """Make values of which the mean difference of two losses has a standard error of 1 for new seeds and samples.

    If `lopsided`, all losses but the first have next to no spread by seed.
    """
    m = np.array(list(means), dtype=np.float32)
    k, proportions = len(m), np.array(SHARES[shares]) / (2 * sum(SHARES[shares]))
    scale = np.sqrt(proportions * [seeds, samples, seeds * samples]).astype(np.float32)
    a, c = scale[0] * draw(rng, (k, seeds, 1)), scale[1] * draw(rng, (k, 1, samples))
    if lopsided:
        a[0] *= np.sqrt(2)
        a[1:] *= 0.05
    by_sample = m[:, None, None] + np.sqrt(samples).astype(np.float32) * draw(rng, (1, 1, samples)) + c
    values = by_sample + a + scale[2] * draw(rng, (k, seeds, samples))
    return Sweep(values, by_sample[:, 0].mean(axis=1, dtype=float), m.astype(float))


def discrete(
    rng: Rng, means: Iterable[float], seeds: int, samples: int, shares: str, rate: float, shared: float
) -> Sweep:
    """Make values of 0 and 1; `rate` is how often they are 1 at mean 0, `shared` the variance of b."""
    m, proportions = np.array(list(means)), SHARES[shares]
    z = stats.norm.ppf(rate)
    easy = stats.norm.ppf(np.arange(0.005, 1, 0.01)) * np.sqrt(shared)
    chance = stats.norm.cdf(z * np.sqrt(1 + shared) + easy)
    rest = (chance * (1 - chance)).mean() / (stats.norm.pdf(z) ** 2 / (1 + shared))
    seed, sample = (rest * proportions[i] / proportions[2] / n for i, n in enumerate([samples, seeds]))
    sample = min(sample, 1.0)
    level = z * np.sqrt(1 + shared + seed + sample) + m
    by_sample = level[:, None] + np.sqrt(shared) * rng.normal(size=samples)
    by_sample = by_sample + np.sqrt(sample) * rng.normal(size=(len(m), samples))
    noise = np.sqrt(seed) * normal(rng, (len(m), seeds, 1)) + normal(rng, (len(m), seeds, samples))
    here = stats.norm.cdf(by_sample / np.sqrt(1 + seed)).mean(axis=1)
    everywhere = stats.norm.cdf(level / np.sqrt(1 + shared + seed + sample))
    return Sweep((by_sample[:, None] + noise > 0).astype(np.float32), here, everywhere)


KINDS: dict[str, Callable[..., Sweep]] = {
    "normal": continuous,
    "skewed": partial(continuous, draw=exponential),
    "discrete": partial(discrete, rate=0.85, shared=1.0),
    "tied": partial(discrete, rate=0.98, shared=4.0),
    "lopsided": partial(continuous, draw=exponential, lopsided=True),
}
"""Tied: most samples are right, or wrong, under all seeds of both losses. Lopsided: only one loss has bad seeds."""


def analysed(values: Floats, population: Population, options: Options) -> Analysis:
    """Analyse values (losses, seeds, samples), or (losses, seeds) where new seeds alone are spoken of."""
    means = values if values.ndim == 2 else values.mean(axis=2, dtype=float)
    entries: dict[str, dict[int, Any]] = {
        str(k): {s: _record(str(k), s, value) for s, value in enumerate(row)} for k, row in enumerate(means.tolist())
    }
    samples = BySample()
    if population == "seeds_and_data":
        places = {run: place for place, run in enumerate(product(entries, range(values.shape[1])))}
        samples = BySample({METRIC: (places, runs_by_sample(values.reshape(len(places), -1)))})
    comparison = Comparison("made_up", "0" * 64, task_named("multiclass"), entries)
    return analyse(comparison, replace(options, metric=METRIC, baseline="0", population=population), samples)


def _record(loss: str, seed: int, value: float) -> dict[str, Any]:
    metrics = {"last": {f"test/{METRIC}": value}}
    return {"loss": loss, "seed": seed, "status": "finished", "task": "multiclass", "metrics": metrics}


def null(rng: Rng, means: Iterable[float], seeds: int, population: Population, shares: str = "mixed") -> Floats:
    """Make normal values with known means, in standard errors of a difference for the population."""
    m = np.array(list(means))
    if population == "seeds":  # new seeds on these samples: only they are drawn
        return m[:, None] + np.sqrt(seeds / 2) * rng.normal(size=(len(m), seeds))
    return continuous(rng, m, seeds, 500, shares).values


def coverage(cell: Cell, sweeps: int) -> Cell:
    """Return the shares of intervals that hold the truth, for new seeds and for both, and of pairs without one."""
    kind, seeds, samples, shares = cell
    rng, held, without = _rng(cell), np.zeros(2), np.zeros(2)
    for _ in range(sweeps):
        sweep = KINDS[kind](rng, (0.0, 0.0), seeds, samples, shares)
        pair = analysed(sweep.values, "seeds_and_data", Options()).main.pair("0", "1")
        if pair is None:
            raise RuntimeError("the losses were not compared")
        alone = pair.this_test_set or pair.difference
        for i, (told, truth) in enumerate([(alone, sweep.here), (pair.difference, sweep.everywhere)]):
            without[i] += isnan(told.low)
            held[i] += told.low <= truth[0] - truth[1] <= told.high
    return (*(held / np.maximum(1, sweeps - without)), *(without / sweeps))


def family(cell: Cell, sweeps: int) -> float:
    """Return the share of sweeps without any difference in which a loss is called better or worse than another."""
    losses, seeds, which, population, shares = cell
    rng, wrong = _rng(cell), 0
    for _ in range(sweeps):
        values = null(rng, (0.0,) * losses, seeds, population, shares)
        found = analysed(values, population, Options(family=which))
        wrong += any(pair.decided(0.05) for pair in found.main.pairs.values())
    return wrong / sweeps


def equivalence(cell: Cell, sweeps: int) -> float:
    """Return the share of sweeps with a wrong "equivalent": all losses but the first are as far off as the margin."""
    losses, seeds, which, population, shares = cell
    rng, wrong, margin = _rng(cell), 0, 8.0
    for _ in range(sweeps):
        values = null(rng, (0.0, *(margin,) * (losses - 1)), seeds, population, shares)
        pairs = analysed(values, population, Options(family=which, margin=margin)).main.pairs
        wrong += any(each.outcome == "equivalent" for pair, each in pairs.items() if "0" in pair)
    return wrong / sweeps


def power(cell: Cell, sweeps: int) -> float:
    """Return how often one loss is shown to differ from the baseline; all others are like the baseline.

    The difference is in standard deviations of the difference between two runs with new seeds and, for both, on new
    samples: n seeds and n times 500 samples would make it sqrt(n) standard errors.
    """
    losses, seeds, which, population, effect = cell
    rng, found = _rng(cell), 0
    for _ in range(sweeps):
        shift = effect * np.sqrt(seeds)
        values = null(rng, (0.0, shift, *(0.0,) * (losses - 2)), seeds, population)
        pair = analysed(values, population, Options(family=which)).main.pair("1", "0")
        found += pair is not None and pair.decided(0.05)
    return found / sweeps


def _rng(cell: Cell) -> Rng:
    return np.random.default_rng(list(repr(cell).encode()))


def made(losses: int, sweeps: int) -> int:
    """Return how many sweeps are made: fewer of ten losses, whose 45 pairs take their time."""
    return max(1, sweeps // 4) if losses >= 10 else sweeps


def told(share: float, sweeps: float) -> str:
    """Write a share in per cent with its standard error."""
    return f"{100 * share:.1f} ±{100 * np.sqrt(max(share * (1 - share), 1 / sweeps**2) / sweeps):.1f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table as Markdown."""
    names = list(head)
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


Each = Callable[[Callable[[Cell], Any], list[Cell]], Iterator[Any]]
"""Compute cells in two processes, in order."""


def print_coverage(each: Each, sweeps: int) -> None:
    """Print the coverage of both intervals."""
    columns = [(n, "mixed") for n in (200, 500, 2000, 10_000)] + [(500, "seeds"), (500, "samples"), (500, "rest")]
    rows_of = list(product(KINDS, (3, 5, 10, 20)))
    asked_for = [(kind, n, *column) for kind, n in rows_of for column in columns]
    cells = [cell for cell in asked_for if cell[0] != "lopsided" or cell[2] == 500]
    found = dict(zip(cells, each(partial(coverage, sweeps=sweeps), cells), strict=True))
    for i, population in enumerate(["new seeds, on this test set", "new seeds and new test data"]):
        print(f"### Coverage of the 95 % interval for {population}\n")
        head = ["values", "seeds", *(f"{samples} {shares}" for samples, shares in columns)]
        rows = [
            [
                kind,
                str(n),
                *(told(each[i], sweeps) if each else "" for each in (found.get((kind, n, *c)) for c in columns)),
            ]
            for kind, n in rows_of
        ]
        table(head, rows)
        asked = {cell: 100 * value[i] for cell, value in found.items() if cell[1] >= 5 and cell[2] >= 500}
        out = {cell: value for cell, value in asked.items() if not TARGETS[0] <= value <= TARGETS[1]}
        print(f"Of {len(asked)} cells with 5 seeds and 500 samples or more {len(out)} are outside 93 to 97 %:")
        print("; ".join(f"{' '.join(map(str, cell))}: {value:.1f}" for cell, value in out.items()) or "none", "\n")
    none = {cell: value[2] for cell, value in found.items() if value[2] > 0}
    print("Pairs without an interval, since all seeds differ by the same amount, in per cent:")
    print("; ".join(f"{' '.join(map(str, cell))}: {100 * value:.1f}" for cell, value in none.items()) or "none", "\n")


def print_family(each: Each, sweeps: int) -> None:
    """Print how often anything is called better or worse where nothing is."""
    _print_by_family(each, family, "Family-wise error: no loss differs", (2, 5, 10), sweeps)


def print_equivalence(each: Each, sweeps: int) -> None:
    """Print how often anything is called equivalent that differs by the margin."""
    _print_by_family(each, equivalence, 'Wrong "equivalent": losses differ by the margin', (2, 5), sweeps)


def _print_by_family(each: Each, measure: Any, title: str, losses: tuple[int, ...], sweeps: int) -> None:
    kinds = [("seeds", "seeds"), ("seeds_and_data", "mixed"), ("seeds_and_data", "seeds")]
    columns = [(which, *kind) for which, kind in product(("all", "baseline"), kinds)]
    found: dict[Cell, float] = {}
    for k in losses:
        cells = [(k, n, *column) for n in (3, 5, 10) for column in columns]
        found |= zip(cells, each(partial(measure, sweeps=made(k, sweeps)), cells), strict=True)
    print(f"### {title}, per cent of sweeps\n")
    rows = [
        [str(k), str(n), *(told(found[(k, n, *column)], made(k, sweeps)) for column in columns)]
        for k, n in product(losses, (3, 5, 10))
    ]
    table(["losses", "seeds", *(", ".join(column) for column in columns)], rows)
    print("The last word is what most of the chance is in.")
    print(f"Largest: {100 * max(found.values()):.1f} %\n")


def print_power(each: Each, sweeps: int) -> None:
    """Print how often a difference is found."""
    effects, columns = (0.5, 1.0, 2.0), [(2, "all"), (5, "all")]
    rows = list(product(POPULATIONS, effects, (3, 5, 10)))
    cells = [(k, n, which, population, d) for population, d, n in rows for k, which in columns]
    found = dict(zip(cells, each(partial(power, sweeps=sweeps), cells), strict=True))
    print("### Power: how often a difference of d is found, in per cent\n")
    table(
        ["population", "d", "seeds", *(f"{k} losses, {which}" for k, which in columns)],
        [
            [population, f"{d:g}", str(n), *(told(found[k, n, which, population, d], sweeps) for k, which in columns)]
            for population, d, n in rows
        ],
    )


RACES = (
    "none differs, 2, normal", "none differs, 5, normal", "none differs, 5, skewed", "none differs, 2, one_failing",
    "one best by 1.0, 2", "one best by 1.0, 5", "one best by 2.0, 5", "mixed, 10", "many bad, 10",
    "as far as the margin, 5", "some same, some worse, margin 1",
)  # fmt: skip
"""Of the settings of `race_truth`, which has more."""


def print_race(each: Each, sweeps: int) -> None:
    """Print what races err, find and save."""
    from race_truth import SETTINGS  # beside this file

    chosen = [setting for setting in SETTINGS if setting.name in RACES]
    races = max(1, sweeps // 4)
    print("### Races of at most 50 seeds a loss\n")
    rows = each(partial(race_row, races=races), [(setting.name,) for setting in chosen])
    table(["setting", "anything wrong", "best found", "runs", "runs of a fixed design", "share"], rows)


def race_row(cell: Cell, races: int) -> list[str]:
    """Return a row of the table of races."""
    from race_truth import SETTINGS, SURE, _has_an_answer, errors, fixed_seeds, is_right, played

    from lossbench.race.decide import Rules

    setting = next(each for each in SETTINGS if each.name == cell[0])
    rules = Rules(margin=setting.margin)
    found = [played(each, rules) for each in setting.values(races, rules.max_seeds, _rng(cell))]
    wrong, right = (
        np.mean([test(each) for each in found]) for test in (_errs(errors, setting), _is(is_right, setting))
    )
    runs = np.mean([each.runs for each in found])
    error = np.std([each.runs for each in found]) / np.sqrt(races)
    answer = right > 0.05 and _has_an_answer(setting)
    n = fixed_seeds(setting, min(float(right), SURE), min(races, 1000)) if answer else None
    fixed = ["-", "-"] if n is None else [str(n * len(setting.gaps)), f"{runs / n / len(setting.gaps):.2f}"]
    return [setting.name, told(float(wrong), races), told(float(right), races), f"{runs:.0f} ±{error:.1f}", *fixed]


def _errs(errors: Any, setting: Any) -> Callable[[Any], bool]:
    return lambda found: any(errors(found, setting))


def _is(right: Any, setting: Any) -> Callable[[Any], bool]:
    return lambda found: bool(right(found, setting))


def print_mnist(_each: Each, _sweeps: int) -> None:
    """Print how verdicts on a thousand images hold on the others."""
    from verdict_on_mnist import print_verdicts  # beside this file

    print_verdicts()


PARTS = {
    "coverage": print_coverage, "family": print_family, "equivalence": print_equivalence, "power": print_power,
    "race": print_race, "mnist": print_mnist,
}  # fmt: skip


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between them")
    parser.add_argument("--sweeps", type=int, default=400, help="of each cell of a table")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--parts={unknown[0]} is not known; allowed: {', '.join(PARTS)}")
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes that are started
    with get_context("spawn").Pool(options.processes) as pool:
        for part in parts:
            start = time.perf_counter()
            PARTS[part](pool.imap, options.sweeps)
            print(f"{part}: {time.perf_counter() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()

"""Measure races of made-up losses: how often something said is wrong, how often the best is found, at what cost.

error, wrong=: the share of races in which anything wrong is said, and in which a loss is wrongly called equivalent.
found: the share in which the best is known, and all that is said is true. seeds, runs: on average.
fixed, share: the runs of a fixed design that finds it as often and has the same guarantee, and the share of them that
the race takes; a race that finds it more often than in 99 % is compared with a design of 99 %, and then with one of its
own power, up to 99.9 %. Its paired t tests at the end are those of the race's closed test.
least: a share of the first that no race can beat that tests the best against each other loss at these levels, even if
it was told how much each loss differs.

  python scripts/race_truth.py                 400 races of each setting, some minutes
  python scripts/race_truth.py --races 2000    as the table in docs/race.md
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossbench.race.decide import Race, Rules, race

Floats = NDArray[np.float64]
MOST = 250
"""Where the search for a fixed design gives up."""
SURE, SUREST = 0.99, 0.999
"""A chance above these is taken for these."""


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    """Draw normal noise."""
    return rng.standard_normal(shape)


def skewed(rng: np.random.Generator, *shape: int) -> Floats:
    """Draw exponential noise: each loss is skewed, and the differences of two have heavy tails on both sides."""
    return rng.exponential(size=shape) - 1


def coarse(rng: np.random.Generator, *shape: int) -> Floats:
    """Draw the accuracy on 500 samples, which has steps of about a third of the spread."""
    return (rng.binomial(500, 0.98, shape) - 490) / np.sqrt(500 * 0.98 * 0.02)


def one_failing(rng: np.random.Generator, *shape: int) -> Floats:
    """Draw differences that are as skewed as they get: the first loss has exponential noise, the others little."""
    noise = rng.standard_normal(shape) * 0.05
    noise[:, 0] = np.sqrt(2) * (1 - rng.exponential(size=(shape[0], shape[2])))
    return noise


@dataclass(frozen=True)
class Setting:
    """Some losses: by how many standard deviations of a difference each is worse than the best, and the noise."""

    name: str
    gaps: tuple[float, ...]
    noise: Callable[..., Floats] = normal
    margin: float | None = None

    def values(self, races: int, seeds: int, rng: np.random.Generator) -> Floats:
        """Draw values (races, losses, seeds); differences of two losses have a standard deviation of 1."""
        return self.noise(rng, races, len(self.gaps), seeds) / np.sqrt(2) - np.array(self.gaps)[:, None]


MIXED = (0.0, 0.5, 1.0, 2.0, 3.0)
SETTINGS = [
    *(Setting(f"none differs, {k}, {n.__name__}", (0.0,) * k, n) for n in (normal, skewed, coarse) for k in (2, 5, 10)),
    *(Setting(f"none differs, {k}, one_failing", (0.0,) * k, one_failing) for k in (2, 5)),
    *(Setting(f"one best by {d}, {k}", (0.0, *(d,) * (k - 1)), normal) for k in (2, 5, 10) for d in (0.5, 1.0, 2.0)),
    Setting("mixed, 5", MIXED),
    Setting("mixed, 5, skewed", MIXED, skewed),
    Setting("mixed, 5, coarse", MIXED, coarse),
    Setting("mixed, 10", (0.0, 0.7, 1.0, 1.0, 1.5, 2.0, 2.0, 3.0, 3.0, 4.0)),
    Setting("many bad, 10", (0.0, 1.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0)),
    *(Setting(f"same, margin 1, {k}", (0.0,) * k, margin=1.0) for k in (2, 5)),
    *(Setting(f"as far as the margin, {k}", (0.0, *(1.0,) * (k - 1)), margin=1.0) for k in (2, 5)),
    Setting("as far as the margin, 2, skewed", (0.0, 1.0), skewed, margin=1.0),
    Setting("some same, some worse, margin 1", (0.0, 0.0, 0.0, 2.5, 3.0, 4.0), margin=1.0),
]


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=400)
    parser.add_argument("--max-seeds", type=int, default=50)
    parser.add_argument("--only", default="", help="settings with this in their name")
    options = parser.parse_args()
    print(f"{'setting':36} error  wrong= found  seeds   runs  fixed share  at 99.9 %   least")
    for setting in SETTINGS:
        if options.only in setting.name:
            print(measured(setting, options.races, Rules(max_seeds=options.max_seeds)), flush=True)


def measured(setting: Setting, races: int, rules: Rules | None = None) -> str:
    """Return the line of a setting."""
    rules = replace(rules or Rules(), margin=setting.margin)
    rng = np.random.default_rng(0)
    drawn = setting.values(races, rules.max_seeds, rng)
    found = [played(each, rules) for each in drawn]
    wrong = np.mean([any(errors(each, setting)) for each in found])
    wrong_equal = np.mean([any(fate == "equivalent" for fate in errors(each, setting)) for each in found])
    power = float(np.mean([is_right(each, setting) for each in found]))
    runs = float(np.mean([each.runs for each in found]))
    seeds = float(np.mean([each.looks[-1].n for each in found]))
    asked = power > 0.05 and _has_an_answer(setting)
    sizes = [fixed_seeds(setting, min(power, sure), draws) if asked else None for sure, draws in _DRAWS.items()]
    fixed = [f"{n * len(setting.gaps):5d} {runs / n / len(setting.gaps):5.2f}" if n else "    –     –" for n in sizes]
    least = least_runs(setting, power, rules) / sizes[0] / len(setting.gaps) if sizes[0] else None
    told = "  ".join((*fixed, f"{least:5.2f}" if least else "    –"))
    return f"{setting.name:36} {wrong:5.3f}  {wrong_equal:5.3f}  {power:5.3f}  {seeds:5.1f}  {runs:5.1f}  {told}"


def played(values: Floats, rules: Rules) -> Race:
    """Run a race on drawn values (losses, seeds)."""
    by_loss = {str(i): dict(enumerate(row)) for i, row in enumerate(values.tolist())}
    return race(by_loss, range(values.shape[1]), rules)


def errors(found: Race, setting: Setting) -> Iterator[str]:
    """Yield the fate of each statement that is wrong."""
    gaps, margin = setting.gaps, setting.margin
    for decision in found.out.values():
        worse_by = gaps[int(decision.loss)] - gaps[int(decision.than)]
        if decision.fate == "worse" and worse_by <= (margin or 0):
            yield "worse"
        if decision.fate == "equivalent" and margin is not None and abs(worse_by) >= margin:
            yield "equivalent"
    if found.is_known:
        shown_worse = [label for label in found.running if label != found.best]
        yield from ("worse" for label in shown_worse if gaps[int(label)] <= gaps[int(found.best)])


def is_right(found: Race, setting: Setting) -> bool:
    """Tell whether the best is known, and is one of the best, or within a margin."""
    return found.is_known and setting.gaps[int(found.best)] <= (setting.margin or 0) and not any(errors(found, setting))


def least_runs(setting: Setting, power: float, rules: Rules) -> float:
    r"""Return a number of runs that no race with these levels can beat, though it knew the effect of each loss.

    A test of level a that finds an effect d with the chance p takes n seeds on average, with
    :math:`n \log(1 + d^2) / 2 \ge p \log(p / a) + (1 - p) \log((1 - p) / (1 - a))` (Wald, "Sequential Analysis", 1947):
    of all normal laws with mean 0 the one with the variance :math:`1 + d^2` is the hardest to tell from it.
    """
    count, margin = len(setting.gaps), setting.margin or 0.0
    seeds = []
    for gap in sorted(setting.gaps)[1:]:
        level = rules.alpha / count if gap > margin else rules.alpha / (count * (count - 1) / 2)
        apart = power * np.log(power / level) + (1 - power) * np.log(max(1 - power, 1e-300) / (1 - level))
        seeds.append(max(rules.first, apart / (0.5 * np.log1p((gap - margin) ** 2))))
    return sum(seeds) + max(seeds)


def _has_an_answer(setting: Setting) -> bool:
    return sorted(setting.gaps)[1] > 0 if setting.margin is None else setting.margin not in setting.gaps


def fixed_seeds(setting: Setting, power: float, races: int) -> int | None:
    """Return the fewest seeds of all losses with which tests at the end find what a race finds as often."""
    values = setting.values(races, MOST, np.random.default_rng(1))
    low, high = 2, MOST
    while low < high:
        n = (low + high) // 2
        low, high = (low, n) if found_by_tests(values[:, :, :n], setting).mean() >= power else (n + 1, high)
    return low if low < MOST else None


_DRAWS = {SURE: 1000, SUREST: 5000}


def found_by_tests(values: Floats, setting: Setting, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Tell of each drawn comparison whether all losses are shown to be what they are against the best mean."""
    races, count, n = values.shape
    gaps, pairs = np.array(setting.gaps), count * (count - 1) / 2
    best, rows = values.mean(2).argmax(1), np.arange(races)
    differences = values[rows, best][:, None] - values
    mean, error = differences.mean(2), differences.std(2, ddof=1) / np.sqrt(n)
    error[rows, best] = np.inf
    margin = setting.margin or 0.0
    p = stats.t.sf((mean - margin) / error, n - 1)
    p[rows, best] = np.nan
    shown = _holm(count * p) <= alpha
    right = gaps[best] == gaps.min()
    if setting.margin is not None:
        within = stats.t.sf((setting.margin - np.abs(mean)) / error, n - 1)
        within[rows, best] = np.nan
        shown |= pairs * within <= alpha
        right = gaps[best] <= setting.margin
    shown[rows, best] = True
    return shown.all(1) & right


def _holm(p: Floats) -> Floats:
    """Correct the rows of p, in each of which one is NaN."""
    order = np.argsort(p, axis=1)
    count = p.shape[1] - 1
    factors = np.append(np.arange(count, 0, -1), 1)
    adjusted = np.maximum.accumulate(np.take_along_axis(p, order, 1) * factors, axis=1)
    result = np.empty_like(p)
    np.put_along_axis(result, order, adjusted, 1)
    return result


if __name__ == "__main__":
    main()

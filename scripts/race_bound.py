"""Compute the best of all plans for looking at two losses after every seed, to hold the plan of a race against.

A plan says after each seed, by t alone, whether to call the loss worse, to give up, or to go on. Of all plans with the
level, and with a power as large as a race has (up to 99 %), backward induction finds the one with the fewest seeds on
average over some effects, each counted in units of what a race takes (Eales and Jennison, "An improved method for
deriving optimal one-sided group sequential tests", 1992). t after n seeds is a Markov chain under no effect
(`lossbench.compare.numbers.sequential`); under another effect a path is as much more likely as its last t is.

  python scripts/race_bound.py                       effects of 1 and 2 standard deviations: some minutes
  python scripts/race_bound.py --effects 0.5,1,2
"""

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from lossbench.compare.numbers import sequential

Floats = NDArray[np.float64]
Plan = dict[int, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""By number of seeds, for each node of t: whether to go on, and whether to call the loss worse."""
FIRST, SURE, ROUNDS, HALVINGS = 3, 0.99, 25, 16


def more_likely(n: int, effect: float) -> Floats:
    """Return how much likelier each node of t after n seeds is with an effect than without."""
    u = np.sqrt(n) * np.sin(sequential._angles(n))
    length = np.linspace(1e-3, (1 + effect) * np.sqrt(n) + 10, 1200)
    weight = (n - 1) * np.log(length) - length**2 / 2
    return np.asarray(
        np.exp(logsumexp(weight + effect * np.outer(u, length), axis=1) - logsumexp(weight) - n * effect**2 / 2)
    )


class Chain:
    """What t may be after each of N seeds, without an effect and with some."""

    def __init__(self, most: int, effects: tuple[float, ...]) -> None:
        self.most, self.effects = most, effects
        self.moves = {n: sequential._next(n) for n in range(2, most)}
        self.likely = {(n, d): more_likely(n, d) for n in range(FIRST, most + 1) for d in effects}

    def best(self, seed: Mapping[float, float], wrong: float, missed: Mapping[float, float]) -> Plan:
        """Return the plan that costs least: by the price of a seed, of a wrong call, and of an effect not found."""
        plan: Plan = {}
        value = np.empty(0)
        for n in range(self.most, FIRST - 1, -1):
            give_up = sum(missed[d] * self.likely[n, d] for d in self.effects)
            stop = np.minimum(wrong, give_up)
            if n == self.most:
                on, value = np.zeros(len(stop), bool), stop
            else:
                go = sum(seed[d] * self.likely[n, d] for d in self.effects) + self.moves[n].T @ value
                on, value = go < stop, np.minimum(go, stop)
            plan[n] = on, ~on & (wrong <= give_up)
        return plan

    def of(self, plan: Plan) -> tuple[float, dict[float, float], dict[float, float]]:
        """Return the level of a plan, and by effect its seeds on average and its power."""
        mass = self.moves[2] @ sequential._weights(sequential._angles(2), 0)
        level, seeds, power = 0.0, dict.fromkeys(self.effects, float(FIRST)), dict.fromkeys(self.effects, 0.0)
        for n in range(FIRST, self.most + 1):
            on, worse = plan[n]
            level += float(mass[worse].sum())
            for d in self.effects:
                power[d] += float((mass * self.likely[n, d])[worse].sum())
                seeds[d] += float((mass * self.likely[n, d])[on].sum())
            mass = self.moves[n] @ np.where(on, mass, 0) if n < self.most else mass
        return level, seeds, power


def of_a_race(most: int, level: float) -> Plan:
    """Return the plan of a race that never gives up."""
    critical = sequential.critical_t([level], range(FIRST, most + 1), most)[0]
    worse = {n: np.sqrt(n - 1) * np.tan(sequential._angles(n)) > critical[n - 1] for n in range(FIRST, most + 1)}
    return {n: (~each & (n < most), each) for n, each in worse.items()}


def main() -> None:
    """Print what a race takes, and what the best plan does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effects", default="1,2")
    parser.add_argument("--most", type=int, default=50)
    parser.add_argument("--level", type=float, default=0.025)
    options = parser.parse_args()
    effects = tuple(float(each) for each in options.effects.split(","))
    chain = Chain(options.most, effects)
    level, usual, power = chain.of(of_a_race(options.most, options.level))
    print(f"race: level {level:.4f}, seeds {told(usual)}, power {told(power)}")
    price = {d: 1 / (len(effects) * usual[d]) for d in effects}
    missed, most_missed = dict.fromkeys(effects, 20.0), {d: 1 - min(power[d], SURE) for d in effects}
    for _ in range(ROUNDS):
        low, high = 0.0, 12.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            level, seeds, power = chain.of(chain.best(price, 10**middle, missed))
            low, high = (middle, high) if level > options.level else (low, middle)
        lacking = {d: max(1 - power[d], 1e-4) / most_missed[d] for d in effects}
        if all(0.9 <= each <= 1.02 or (each < 1 and missed[d] < 0.05) for d, each in lacking.items()):
            break
        missed = {d: missed[d] * float(np.clip(each**0.6, 0.3, 4)) for d, each in lacking.items()}
    print(f"best plan: level {level:.4f}, seeds {told(seeds)}, power {told(power)}")
    print(f"of the seeds of a race it takes {np.mean([seeds[d] / usual[d] for d in effects]):.3f}")


def told(by_effect: Mapping[float, float]) -> str:
    """Write numbers by effect."""
    return ", ".join(f"{value:.3f} (d = {d:g})" for d, value in by_effect.items())


if __name__ == "__main__":
    main()

"""What races have decided of the runs of a comparison: a loss that was dropped has fewer seeds by decision."""

import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossbench.compare.numbers.comparisons import Comparison

RACES = "races"
"""In the folder of outputs: here races write `race.json`, in a folder of their own each."""


def with_races(comparison: Comparison, output_dir: Path) -> Comparison:
    """Return a comparison that knows which seeds of its losses were not run as a race had dropped them."""
    dropped: dict[str, dict[int, str]] = defaultdict(dict)
    for path in sorted((output_dir / RACES).glob("*/race*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["problem"] == comparison.problem:
                for label, seed, why in list(_dropped(found)):
                    dropped[label][seed] = why
    return replace(comparison, dropped=dict(dropped))


def _dropped(found: dict[str, Any]) -> list[tuple[str, int, str]]:
    had = {label: set(seeds) for label, seeds in found["seeds"].items()}
    every = sorted(set().union(*had.values()))
    told = {each["loss"]: _why(each) for each in found["out"]}
    return [(label, seed, told[label]) for label in told for seed in every if seed not in had[label]]


def _why(decision: dict[str, Any]) -> str:
    than = {"worse": f"worse than {decision['than']}", "equivalent": f"equivalent to {decision['than']}"}
    return f"dropped by the race after {decision['n']} seeds, {than.get(decision['fate'], decision['fate'])}"

"""A report of made-up runs, to be opened."""

from pathlib import Path

import numpy as np

from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.html import write_report
from tests.support.compared import made_up

HOSTILE = "</script><b onclick=x>&"


def compared(losses: int = 5, seeds: int = 4, names: tuple[str, ...] = (), wide: str = "", **options) -> Analysis:
    """Return a comparison of losses that get worse one by one; at the best validation epoch their order is turned.

    The values of the loss that is `wide` spread far more than the others'.
    """
    labels = [*("cross_entropy", "focal", "ldam", "gce"), *names, *(f"loss_{k}" for k in range(losses))][:losses]
    entries = []
    for place, loss in enumerate(labels):
        drawn = np.random.default_rng(place).normal(0.6 - 0.03 * place, 1.0 if loss == wide else 0.02, seeds)
        for seed, value in enumerate(drawn.tolist()):
            entry = made_up(loss, seed, value, folder="nowhere")
            for at, row in enumerate(entry["history"]):
                row["test/ece"] = 0.05 + 0.01 * place + value / 50
                row["test/balanced_accuracy"] += 0.05 * place * (at == 1)
                row["test/accuracy"] = row["test/balanced_accuracy"]
            entries.append(entry)
    return analyse(comparisons(entries)[0], Options(**options))


def report(folder: Path, **of) -> Path:
    """Write the report of such a comparison."""
    return write_report(compared(**of), folder, [])

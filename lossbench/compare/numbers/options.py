"""How a comparison is made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lossbench.compare.numbers.selection import SELECTIONS
from lossbench.compare.numbers.statistics import Method
from lossbench.errors import ConfigError, nearest
from lossbench.ranges import contains, takes

_WORDS: dict[str, Iterable[str]] = {
    "select": SELECTIONS, "interval": ("t", "bca"), "population": ("seeds_and_data", "seeds"),
    "family": ("all", "baseline"),
}  # fmt: skip


@takes(
    metric="text or null",
    select="one of: best_clean_val, best_val, last, oracle",
    baseline="text or null",
    confidence="number (0, 1)",
    interval="one of: bca, t",
    unpaired="bool",
    population="one of: seeds, seeds_and_data",
    family="one of: all, baseline",
    margin="number (0, inf) or null",
    front="list of 2+ text or null",
    columns="list of 1+ text or null",
    pdf="bool",
)
@dataclass(frozen=True)
class Options:
    """How a comparison is made; `conf/compare/default.yaml` holds the same names.

    Parameters
    ----------
    metric : str, optional
        What the losses are sorted and judged by; None: the first of the task.
    select : str
        The epoch that counts, one of `SELECTIONS`.
    baseline : str, optional
        The label or the loss that the others are compared with; None: the plain one of the task, else the first loss.
    confidence : float
        Of all intervals; 1 - confidence is the level of all tests.
    interval : str
        Of the means: "t" (Student) or "bca" (bootstrap); differences have that of their test.
    unpaired : bool
        Whether losses that were run with other seeds than the baseline are compared without pairs.
    population : str
        Of what the differences speak: "seeds_and_data", new seeds and new test data, where the metric and what the runs
        kept allow it, or "seeds", new seeds on this test set.
    family : str
        Over which comparisons p, intervals and letters of a metric are adjusted: "all" pairs of losses, or those of
        each loss with the "baseline".
    margin : float, optional
        Losses whose difference on `metric` is shown to be smaller are equal in practice; None: no loss is called equal.
    front : sequence of str, optional
        Two or more goals that compete: metrics, or `train/NAME` of the last epoch; None: the parts of several tasks, or
        the terms of a loss.
    columns : sequence of str, optional
        The metrics that the tables show, behind `metric`; table.csv has all. None: those of the task.
    pdf : bool
        Whether pictures are also written as PDF.
    trust : tuple of str
        Losses, not lossbench's, that may be imported when a record names them.

    """

    metric: str | None = None
    select: str = "last"
    baseline: str | None = None
    confidence: float = 0.95
    interval: Method = "t"
    unpaired: bool = False
    population: Literal["seeds_and_data", "seeds"] = "seeds_and_data"
    family: Literal["all", "baseline"] = "all"
    margin: float | None = None
    front: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    pdf: bool = False
    trust: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without runs."""
        for name, allowed in _WORDS.items():
            if (given := getattr(self, name)) not in allowed:
                raise ConfigError(f"compare.{name}={given} is not known. {nearest(str(given), allowed)}")
        if not contains("(0, 1)", self.confidence):
            raise ConfigError(f"compare.confidence={self.confidence} is out of range: allowed is (0, 1).")
        if self.margin is not None and not contains("(0, inf)", self.margin):
            raise ConfigError(f"compare.margin={self.margin} is out of range: allowed is (0, inf) or null.")
        if self.margin is not None and self.confidence <= 0.5:
            raise ConfigError(f"compare.margin needs a compare.confidence above 0.5; it is {self.confidence}.")
        if self.front is not None:
            object.__setattr__(self, "front", tuple(map(str, self.front)))
            if len(set(self.front)) < max(2, len(self.front)):
                raise ConfigError(f"compare.front={list(self.front)} is not known; give two or more different metrics.")

        if self.columns is not None:
            if isinstance(self.columns, str) or not self.columns:
                raise ConfigError(f"compare.columns={self.columns} is not known; give a list of metrics, or null.")
            object.__setattr__(self, "columns", tuple(map(str, self.columns)))

    @property
    def alpha(self) -> float:
        """The level of the tests."""
        return round(1 - self.confidence, 12)

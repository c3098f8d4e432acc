"""The optimizer of runs that differ in the learning rate alone: one step for all, of which each goes its share.

The update of every optimizer that a stack may use is proportional to its learning rate, so that a run with a third of
the rate goes a third of the way. The largest rate leads: shares are at most 1, where nothing is lost to rounding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.learners.stacked.optimizer import OptimizerGroup, settings_of
from lossbench.learners.supervised import Supervised
from lossbench.models.stacked_module import StackedModule


class OptimizerOfRates(OptimizerGroup):
    """Neighbouring runs with the same settings of optimizer and schedule, but for the learning rate.

    What it writes into a checkpoint is the leader's: a stack of candidates goes on from none.

    Parameters
    ----------
    runs, learners, modules : sequence
        As for `OptimizerGroup`.

    """

    def __init__(self, runs: Sequence[int], learners: Sequence[Supervised], modules: Sequence[StackedModule]) -> None:
        self._leader = max(runs, key=lambda run: _rate(learners[run]) or 0.0)
        super().__init__(runs, learners, modules)
        self.scheduler = _Schedules({run: learners[run] for run in runs}, self.scheduler)

    @property
    def leader(self) -> int:
        """The run with the largest learning rate."""
        return self._leader

    def rate_of(self, run: int) -> float:
        """Return the learning rate of a run."""
        return float(self.scheduler.optimizers[run].param_groups[0]["lr"])

    def step(self) -> None:
        """Update the runs, each by its share of the step of the largest rate."""
        largest = super().rate_of(self.leader)
        shares = {run: self.rate_of(run) / largest if largest else 0.0 for run in self.runs}
        moved = [(part.leaf, _of_rows(shares, part.rows, part.leaf)) for part in self._parts]
        moved += [(own, torch.tensor(shares[run]).to(own)) for run in self.runs for own in self._own[run]]
        with torch.no_grad():
            before = [leaf.clone() for leaf, _ in moved]
            super().step()
            for (leaf, share), old in zip(moved, before, strict=True):
                torch.lerp(old, leaf, share, out=leaf)


class _Schedules:
    """The schedule of each run, on an optimizer of its own that updates nothing, beside that of the leader."""

    def __init__(self, learners: dict[int, Supervised], leading: Any) -> None:
        self._leading = leading
        self.optimizers = {
            run: learner.optimizer_factory([{"params": [nn.Parameter(torch.zeros(1))]}])
            for run, learner in learners.items()
        }
        self._each = [learner.scheduler_factory(self.optimizers[run]) for run, learner in learners.items()]

    def step(self) -> None:
        for schedule in (self._leading, *self._each):
            schedule.step()

    def state_dict(self) -> dict[str, Any]:
        return dict(self._leading.state_dict())


def settings_but_rate(learner: Supervised) -> str:
    """Return what the runs of a group have in common: all but the learning rate, where that is given by name."""
    if _rate(learner) is None:
        return settings_of(learner)
    made: Any = learner.optimizer_factory
    others = {name: value for name, value in made.keywords.items() if name != "lr"}
    return repr((made.func, made.args, others, learner.scheduler_factory))


def _rate(learner: Supervised) -> float | None:
    keywords = getattr(learner.optimizer_factory, "keywords", {})
    return float(keywords["lr"]) if isinstance(keywords.get("lr"), int | float) else None


def _of_rows(shares: dict[int, float], rows: dict[int, int], leaf: Tensor) -> Tensor:
    each = torch.ones(len(leaf), dtype=leaf.dtype)
    for run, row in rows.items():
        each[row] = shares[run]
    return each.view(-1, *(1,) * (leaf.ndim - 1)).to(leaf.device)

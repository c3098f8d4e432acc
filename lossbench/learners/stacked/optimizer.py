"""The optimizer of neighbouring runs of a stack that share its settings: torch's own, over their rows of the stack.

The optimizers that may be used here update each number by itself, so that a row gets what it would get alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.compat.torch import without_gpu_checks
from lossbench.learners.supervised import Supervised
from lossbench.models.stacked_module import StackedModule

State = dict[str, Any]


class OptimizerGroup:
    """Neighbouring runs with the same settings of optimizer and schedule.

    Parameters
    ----------
    runs : sequence of int
        The runs.
    learners : sequence of Supervised
        The learners of all runs of the stack.
    modules : sequence of StackedModule
        The backbone, then the heads.

    """

    def __init__(self, runs: Sequence[int], learners: Sequence[Supervised], modules: Sequence[StackedModule]) -> None:
        self.runs = runs
        self._own = {run: own_parameters(learners[run]) for run in runs}
        self._parts = [part for module in modules for part in _parts(module, runs)]
        groups: list[State] = [{"params": [part.leaf for part in self._parts]}]
        if own := [parameter for parameters in self._own.values() for parameter in parameters]:
            groups.append({"params": own, "weight_decay": 0.0})
        self.optimizer = without_gpu_checks(learners[self.leader].optimizer_factory(groups))
        self.scheduler: Any = learners[self.leader].scheduler_factory(self.optimizer)

    @property
    def leader(self) -> int:
        """The run whose settings the optimizer has."""
        return self.runs[0]

    def rate_of(self, run: int) -> float:
        """Return the learning rate of a run."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """Update the runs by the gradients of the stacked parameters, and forget the gradients."""
        for part in self._parts:
            part.leaf.grad = part.gradient()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self, run: int) -> list[Tensor]:
        """Return the gradients of one run, to change them in place: of its network and of its loss."""
        own = [parameter.grad for parameter in self._own[run] if parameter.grad is not None]
        stacked = [(part.gradient(), part.rows[run]) for part in self._parts if run in part.rows]
        return [gradient[row] for gradient, row in stacked if gradient is not None] + own

    def state_of(self, run: int) -> State:
        """Return the state dict that the optimizer of this run would have if it trained alone."""
        states = [
            {key: _row(value, part, run) for key, value in self.optimizer.state[part.leaf].items()}
            for part in self._parts
            if run in part.rows
        ]
        own = [dict(self.optimizer.state[parameter]) for parameter in self._own[run]]
        groups = [{**self.optimizer.param_groups[0], "params": list(range(len(states)))}]
        if own:
            groups.append({**self.optimizer.param_groups[1], "params": [len(states) + i for i in range(len(own))]})
        return {"state": dict(enumerate(states + own)), "param_groups": groups}

    def restore(self, checkpoints: Mapping[int, State]) -> None:
        """Go on from the checkpoints of the runs, all of the same epoch."""
        kept = {run: iter(checkpoints[run]["optimizer_states"][0]["state"].values()) for run in self.runs}
        for part in self._parts:
            states = {part.rows[run]: next(kept[run]) for run in part.rows}
            self.optimizer.state[part.leaf] = {
                key: _joined({row: state[key] for row, state in states.items()}, part.leaf)
                for key in next(iter(states.values()))
            }
        for run in self.runs:
            for parameter in self._own[run]:
                self.optimizer.state[parameter] = dict(next(kept[run]))
        first = checkpoints[self.runs[0]]
        saved_groups = first["optimizer_states"][0]["param_groups"]
        for group, saved in zip(self.optimizer.param_groups, saved_groups, strict=False):
            group.update({key: value for key, value in saved.items() if key != "params"})
        self.scheduler.load_state_dict(first["lr_schedulers"][0])


class ParameterSlice:
    """The rows of one stacked parameter that belong to a segment, as a leaf of its own that the optimizer updates."""

    def __init__(self, stacked: nn.Parameter, start: int, stop: int, runs: Sequence[int]) -> None:
        self.rows = {run: row for row, run in enumerate(runs)}
        self._stacked, self._slice = stacked, slice(start, stop)
        whole = (start, stop) == (0, len(stacked))
        self.leaf = stacked if whole else nn.Parameter(stacked.data[start:stop])

    def gradient(self) -> Tensor | None:
        """Return the gradient of the rows."""
        return None if self._stacked.grad is None else self._stacked.grad[self._slice]


def settings_of(learner: Supervised) -> str:
    """Return what the runs of a group have in common."""
    return repr((learner.optimizer_factory, learner.scheduler_factory))


def own_parameters(learner: Supervised) -> list[nn.Parameter]:
    """Return the parameters of a learner's loss."""
    return [] if learner.loss_module is None else list(learner.loss_module.parameters())


def _parts(module: StackedModule, runs: Sequence[int]) -> list[ParameterSlice]:
    mine = [run for run in module.runs if run in runs]
    if not mine:
        return []
    start, stop = module.runs.index(mine[0]), module.runs.index(mine[-1]) + 1
    if stop == len(module.runs):
        stop = module.slots  # the slots without a run belong to the last segment
    return [ParameterSlice(parameter, start, stop, mine) for parameter in module.parameters()]


def _row(value: Any, part: ParameterSlice, run: int) -> Any:
    """Return a run's part of a piece of optimizer state: its row, or the whole where all share it, as a step count."""
    if not torch.is_tensor(value):
        return value
    return value[part.rows[run]].clone() if value.shape == part.leaf.shape else value.clone()


def _joined(rows: Mapping[int, Any], leaf: Tensor) -> Any:
    """Join a piece of the optimizer state of some rows; slots without a run begin at zero."""
    first = next(iter(rows.values()))
    if not torch.is_tensor(first) or first.shape != leaf.shape[1:]:
        return first
    joined = torch.zeros_like(leaf, dtype=first.dtype)
    for row, value in rows.items():
        joined[row] = value
    return joined

"""Many modules of one architecture as one, with a leading run axis."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lossbench.models.stacked import form_of

SLOTS = 8
"""The least size of a stack: from it on the numbers of a run do not depend on how many others there are."""


class StackedModule(nn.Module):
    """The stacked parameters and buffers of modules of one architecture, and their forward pass.

    The modules themselves can look into the stack (`look_into`): what is trained here is then theirs.

    Parameters
    ----------
    members : sequence of nn.Module
        The modules, of a class that `stacked.FORWARD` knows, or derived from one.
    runs : sequence of int
        The runs that they belong to. Up to `SLOTS` the last one is repeated.

    """

    runs_of_slots: Tensor

    def __init__(self, members: Sequence[nn.Module], runs: Sequence[int]) -> None:
        super().__init__()
        self.runs = list(runs)
        self.slots = max(SLOTS, len(members))
        repeated = self.slots - len(members)
        self._members = tuple(members)  # a tuple, so that they are not submodules: their parameters are not trained
        self._names = {name.replace(".", "/"): name for name in members[0].state_dict()}
        states = [member.state_dict() for member in (*members, *[members[-1]] * repeated)]
        trained = {name for name, _ in members[0].named_parameters()}
        for own, name in self._names.items():
            stacked = torch.stack([state[name] for state in states])
            if name in trained:
                self.register_parameter(own, nn.Parameter(stacked))
            else:
                self.register_buffer(own, stacked)
        self.register_buffer("runs_of_slots", torch.tensor([*runs, *[runs[-1]] * repeated]), persistent=False)

    def look_into(self) -> None:
        """Make each parameter and buffer of the members a view of its row here; call it after moving the stack."""
        for row, member in enumerate(self._members):
            for own, name in self._names.items():
                path, _, last = name.rpartition(".")
                owner, stacked = member.get_submodule(path), getattr(self, own).detach()
                if last in owner._parameters:
                    owner.get_parameter(last).data = stacked[row]
                else:
                    owner._buffers[last] = stacked[row]

    def train(self, mode: bool = True) -> "StackedModule":
        """Set training or evaluation mode, of the members too."""
        for member in self._members:
            member.train(mode)
        return super().train(mode)

    def forward(self, inputs: Tensor, *places: Tensor) -> Tensor:
        """Map inputs (slots, N, ...), or (P, N, ...) with the places (slots,) of slots, to the members' outputs."""
        state = {name: getattr(self, own) for own, name in self._names.items()}
        return form_of(self._members[0])(self._members[0], state, inputs, *places)

"""Heads for several tasks of one network, and a network of its own for each."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lossbench.losses.multitask import beside
from lossbench.models.network import Network

Features = Tensor | Mapping[str, Tensor]


class Heads(nn.Module):
    """A head for each part; their outputs stand beside one another.

    Parameters
    ----------
    heads : mapping of str to nn.Module
        By part; each maps features (..., F) to outputs.
    per_pixel : sequence of str
        The parts that are predicted at each pixel. Others get, of the features of pixels, their mean and their maximum
        over the pixels: twice as many.

    """

    def __init__(self, heads: Mapping[str, nn.Module], per_pixel: Sequence[str] = ()) -> None:
        super().__init__()
        self.names, self.per_pixel = tuple(heads), frozenset(per_pixel)
        self.heads = nn.ModuleList(heads.values())  # a list, as a part may be called what no module can

    def seen(self, features: Features) -> dict[str, Tensor]:
        """Return what each head sees of features (N, F) or (N, H, W, F), or of such for each part."""
        return {name: self._seen(name, features) for name in self.names}

    def _seen(self, name: str, features: Features) -> Tensor:
        own = features[name] if isinstance(features, Mapping) else features
        if own.ndim == 2 or name in self.per_pixel:
            return own
        return torch.cat([own.mean((1, 2)), own.amax((1, 2))], 1)

    def forward(self, features: Features) -> Tensor:
        """Map features to the outputs (N, O) of all parts."""
        return beside([*self.outputs(self.seen(features)).values()])

    def outputs(self, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map what each head sees to the outputs of its part, (N, ...) or (N, ..., K)."""
        each = {name: head(seen[name]) for name, head in zip(self.names, self.heads, strict=True)}
        return {name: outputs.squeeze(-1) if outputs.shape[-1] == 1 else outputs for name, outputs in each.items()}


class Backbones(nn.Module):
    """A backbone of its own for each part: copies of one, from the same start.

    Parameters
    ----------
    backbone : nn.Module
        What is copied.
    names : sequence of str
        Of the parts.

    """

    def __init__(self, backbone: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.each = nn.ModuleList(copy.deepcopy(backbone) for _ in names)
        self.num_features: int = backbone.num_features  # type: ignore[assignment]

    @property
    def start(self) -> nn.Module:
        """One of them: before training they are the same."""
        return self.each[0]

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Map inputs to the features of each part."""
        return {name: backbone(inputs) for name, backbone in zip(self.names, self.each, strict=True)}


def a_network_each(network: Network) -> Network:
    """Return a network in which each part has a backbone of its own, with the weights that the shared one had.

    No parameter is shared, so that under one optimizer, whose steps are each parameter's own, each part is trained as
    if it were alone.

    Examples
    --------
    >>> heads = Heads({"left": nn.Linear(3, 2), "right": nn.Linear(3, 2)})
    >>> one = Network(nn.Linear(4, 3), heads)
    >>> one.backbone.num_features = 3
    >>> each, inputs = a_network_each(one), torch.randn(5, 4)
    >>> bool((each(inputs) == one(inputs)).all()), len(list(each.parameters())) - len(list(one.parameters()))
    (True, 2)

    """
    head = network.head
    assert isinstance(head, Heads)
    return Network(Backbones(network.backbone, head.names), head)

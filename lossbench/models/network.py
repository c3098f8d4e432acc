"""A network: a backbone and the head that a loss asks for."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Network(nn.Module):
    """Features of a backbone, mapped by a head to one output per class, or to a single output of shape (N,).

    Parameters
    ----------
    backbone : nn.Module
        Maps inputs to features (N, num_features); its attribute `num_features` says how many.
    head : nn.Module
        Maps features to outputs (N, num_outputs).

    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs to outputs (N, K), or (N,) for a single output."""
        return self.outputs(self.backbone(inputs))

    def outputs(self, features: Tensor) -> Tensor:
        """Map features (N, num_features) to outputs (N, K), or (N,) for a single output."""
        outputs: Tensor = self.head(features)
        return outputs.squeeze(-1) if outputs.shape[-1] == 1 else outputs


class CosineHead(nn.Module):
    """Scaled cosines between features and one direction per class: both are normalised, there is no bias.

    References
    ----------
    Cao et al. 2019 (the classifier of LDAM); Wang et al. 2018 (CosFace).

    """

    def __init__(self, num_features: int, num_outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_outputs, num_features))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Map features (..., F) to scaled cosines (..., K) in [-scale, scale]."""
        return self.scale * F.linear(F.normalize(features, dim=-1), F.normalize(self.weight))

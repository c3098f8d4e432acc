"""Depth maps with holes, the views that belong to them, and a call of any loss of depth with what it asks for."""

import math

import torch

from lossbench import losses
from lossbench.losses.bound_loss import context_names


def depth_maps(samples=3, height=6, width=7, outputs=1, seed=0):
    """Return log depth and true depth, about a fifth of which is unknown: 0, below 0, NaN or infinite."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, height, width) if outputs == 1 else (samples, height, width, outputs)
    log_depth = torch.randn(shape, dtype=torch.float64, generator=generator)
    target = torch.randn(samples, height, width, dtype=torch.float64, generator=generator).exp()
    holes = torch.rand(target.shape, generator=generator)
    for below, unknown in ((0.2, 0.0), (0.15, -1.0), (0.1, math.nan), (0.05, math.inf)):
        target[holes < below] = unknown
    return log_depth, target


def valid(target):
    return torch.isfinite(target) & (target > 0)


def views(samples=3, height=6, width=7, seed=1):
    """Return an image, a view to its right and one of a turned camera, all random, and their cameras."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(samples, 3, 3, height, width, dtype=torch.float64, generator=generator)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(samples, 1, 1)
    for row in range(samples):
        intrinsics[row, 0, 0], intrinsics[row, 1, 1] = 5 + row, 6 + row / 2
        intrinsics[row, :2, 2] = torch.tensor([(width - 1) / 2, (height - 1) / 2 + 0.3])
    poses = torch.eye(4, dtype=torch.float64).repeat(samples, 2, 1, 1)
    poses[:, 0, 0, 3] = -0.3
    turned = torch.tensor([[0.0, -0.05, 0.1], [0.05, 0.0, -0.08], [-0.1, 0.08, 0.0]], dtype=torch.float64)
    poses[:, 1, :3, :3] = torch.linalg.matrix_exp(turned)
    poses[:, 1, :3, 3] = torch.tensor([0.2, -0.1, 0.3])
    return {"image": colours[:, 0], "other_views": colours[:, 1:], "intrinsics": intrinsics, "poses": poses}


def bound(name, context):
    """Return a loss of depth as a function of outputs, target and its parameters."""
    function = getattr(losses, name)
    known = {key: context[key] for key in context_names(function)}
    return lambda outputs, target, **parameters: function(outputs, target, **known, **parameters)

"""Images, and fields of pixels whose probabilities are known, on which losses of segmentation are tested."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

import lossbench.losses
from lossbench.losses.facts import declared_losses
from tests.support.losses import losses_of

COUNTS = [500, 200, 90, 10]
LOSSES = [name for name in losses_of("segmentation") if not declared_losses()[name].is_made_of_others]
PER_IMAGE_ONLY = ("boundary", "cl_dice", "hausdorff_dt", "mask_ssim", "region_mutual_information")
"""Losses that look at where a pixel is."""
PIXELWISE = [name for name in LOSSES if name not in PER_IMAGE_ONLY]


def loss_named(name, **settings):
    """Return a loss with what a run of 4 classes supplies."""
    counts = {"class_counts": COUNTS} if "class_counts" in declared_losses()[name].needs else {}
    return partial(getattr(lossbench.losses, name), **{**counts, **settings})


def images(samples=3, height=16, width=17, classes=4, seed=0, dtype=torch.float64):
    """Return logits and targets of blocks, each image with all classes."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randn(samples, classes, (height + 3) // 4, (width + 3) // 4, generator=generator)
    target = nn.functional.interpolate(blocks, scale_factor=4)[:, :, :height, :width].argmax(1)
    target[:, 1, :classes] = target[:, -2, -classes:] = torch.arange(classes)
    logits = torch.randn(samples, height, width, classes, generator=generator, dtype=torch.float64)
    return (logits + nn.functional.one_hot(target, classes)).to(dtype), target


def field(probabilities: np.ndarray, per_bin: int = 100) -> tuple[Tensor, np.ndarray]:
    """Return one image (1, B, per_bin) with two classes, and its probabilities (B,) of class 1, exact but for rounding.

    Each row is a bin: pixels that look alike, of which that share is of class 1.
    """
    positives = np.rint(probabilities * per_bin).astype(int)
    target = torch.arange(per_bin) < torch.tensor(positives).unsqueeze(1)
    return target.long().unsqueeze(0), positives / per_bin


def fitted(loss, target: Tensor, steps: int = 80) -> Tensor:
    """Return the probabilities (B,) of class 1 that minimise a loss on a field, one logit for each bin."""
    table = torch.zeros(target.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam(
        [table], lr=0.5, betas=(0.5, 0.8)
    )  # where slopes change sign on the way, a short memory
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(two_logits(table, target), target).mean().backward()
        optimizer.step()
        slower.step()
    return table.detach().sigmoid()


def two_logits(table: Tensor, target: Tensor) -> Tensor:
    """Return logits (1, B, per_bin, 2) of one number for each bin."""
    return torch.stack([torch.zeros_like(table), table], -1)[None, :, None].expand(*target.shape, 2)


def masks(count=30, height=9, width=8, classes=4, seed=1):
    """Return predicted and true classes at random, (count, H, W): blobs, some without all classes."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, count, classes, height, width, generator=generator)
    noise = nn.functional.avg_pool2d(noise.flatten(0, 1), 3, stride=1, padding=1).view(noise.shape)
    return noise.argmax(2)


def certain(classes: Tensor, number: int = 4) -> Tensor:
    """Return logits in float64 whose softmax is 0 or 1, to the last digit."""
    return 2000.0 * nn.functional.one_hot(classes, number).double()

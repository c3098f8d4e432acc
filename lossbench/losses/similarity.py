"""Structural similarity: how alike two maps are around each pixel, in their means, their spreads and their correlation.

Formula: S = (2 m_x m_y + c1) (2 s_xy + c2) / ((m_x^2 + m_y^2 + c1) (s_x^2 + s_y^2 + c2))

m, s^2 and s_xy are means, variances and covariance in a window around the pixel, c1 and c2 the squares of 0.01 and 0.03
times the range of the data (Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
Similarity", doi:10.1109/TIP.2003.819861). Of a window at the border or at a hole only the valid pixels count, with
their weights scaled to a sum of 1.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def gaussian(window: int, sigma: float, like: Tensor) -> Tensor:
    """Return the weights (window,) of a Gaussian window along a side, which sum to 1, of the type of `like`.

    Raises
    ------
    ValueError
        If the window is even.

    """
    if window % 2 == 0:
        raise ValueError(f"window={window}: a window around a pixel needs an odd number of pixels a side.")
    away = torch.arange(window, dtype=like.dtype, device=like.device) - window // 2
    return (-0.5 * (away / sigma).square()).softmax(0)


def ssim_map(x: Tensor, y: Tensor, valid: Tensor, kernel: Tensor | None = None, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity (..., H, W) in the window around each valid pixel, in [-1, 1].

    Parameters
    ----------
    x : Tensor (..., H, W)
        Floating point, finite.
    y : Tensor (..., H, W)
        The same, without a gradient; may have sizes of 1 where x is larger.
    valid : Tensor (..., H, W)
        bool; may have sizes of 1 in front of H and W.
    kernel : Tensor (K,), optional
        Weights of the window along each side, K odd, the same from both ends; by default 3 pixels of one weight.
    data_range : float
        Of the values.

    """
    known = valid.to(x.dtype)
    share = 1 / _filtered(known, kernel).masked_fill(~valid, 1.0)
    settings = kernel, data_range, torch.is_grad_enabled()
    similarity: Tensor = _Similarity.apply(x * known, y.detach() * known, share, *settings)[0]
    return similarity


class _Similarity(Function):
    """S, its slopes by the means of x, x^2 + y^2 and x y, and by these x: autograd would keep thirty maps, not five."""

    @staticmethod
    def forward(
        x: Tensor, y: Tensor, share: Tensor, kernel: Tensor | None, data_range: float, slopes: bool
    ) -> tuple[Tensor, ...]:
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        # One map at a time: several in one block of memory take longer than the arithmetic.
        mean_x, mean_y, squares, product = (
            _filtered(each, kernel).mul_(share) for each in (x, y, (x * x).addcmul_(y, y), x * y)
        )
        of_means, shared_means = (mean_x * mean_x).addcmul_(mean_y, mean_y), mean_x * mean_y
        # Rounding must not make variances negative, nor the covariance larger than they allow.
        spread, shared = squares.sub_(of_means).clamp_min_(0).add_(c2), product.sub_(shared_means)
        structure = shared.mul_(2).add_(c2).div_(spread).clamp_(-1, 1)
        of_means.add_(c1)
        luminance = shared_means.mul_(2).add_(c1).div_(of_means)
        similarity = luminance * structure
        if not slopes:
            return (similarity,)
        share = 2 * share
        by_product = luminance.div(spread).mul_(share)
        by_squares = (by_product * structure).mul_(-0.5)
        by_mean = torch.addcmul(mean_y, mean_x, luminance, value=-1).mul_(structure).div_(of_means).mul_(share)
        by_mean.addcmul_(mean_y, by_product, value=-1).addcmul_(mean_x, by_squares, value=-2)
        return similarity, by_mean, by_squares, by_product

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[:2], *output[1:])
        ctx.kernel = inputs[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, y, *slopes = ctx.saved_tensors
        # Windows are the same from both ends, and so their own transpose.
        by_mean, by_squares, by_product = (_filtered(gradient * each, ctx.kernel) for each in slopes)
        return by_mean.addcmul_(x, by_squares, value=2).addcmul_(y, by_product), None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, y: Tensor, share: Tensor, *settings: Any) -> tuple[Any, Any]:
        # What does not differ is repeated, so that dimensions in front of all maps agree.
        maps = [
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip((x, y, share), in_dims, strict=False)
        ]
        found = _Similarity.apply(*maps, *settings)
        return found, (0,) * len(found)


def _filtered(maps: Tensor, kernel: Tensor | None) -> Tensor:
    """Return the weighted sums in the windows of maps (..., H, W), outside of which there are zeros.

    By two products with band matrices: many times faster on a CPU than a convolution of so many maps of one channel.
    Without a kernel the sums of 3x3 pixels, by shifts, which is as much faster again.
    """
    if kernel is not None:
        return _band(maps.shape[-2], kernel) @ maps @ _band(maps.shape[-1], kernel).T
    for dim in (-1, -2):
        sums, size = maps.clone(), maps.shape[dim] - 1
        sums.narrow(dim, 1, size).add_(maps.narrow(dim, 0, size))
        sums.narrow(dim, 0, size).add_(maps.narrow(dim, 1, size))
        maps = sums
    return maps


def _band(size: int, kernel: Tensor) -> Tensor:
    """Return the matrix (size, size) whose row i weighs what lies around i by the kernel."""
    place = torch.arange(size, device=kernel.device)
    offset = place - place.unsqueeze(1) + len(kernel) // 2
    inside = (offset >= 0) & (offset < len(kernel))
    return kernel[offset.clamp(0, len(kernel) - 1)].masked_fill(~inside, 0.0)

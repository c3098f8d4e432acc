"""Adam on one number for each term, with its state in buffers: no optimizer of torch keeps its state in a module."""

import torch
from torch import Tensor, nn


class Adam(nn.Module):
    """The steps of Adam (Kingma and Ba 2015), betas .9 and .999, for T numbers that a method holds.

    Parameters
    ----------
    size : int
        T.
    lr : float
        Its learning rate.
    weight_decay : float
        What of the numbers is added to their gradient.

    """

    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, size: int, *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.lr, self.weight_decay = lr, weight_decay
        self.register_buffer("first", torch.zeros(size))
        self.register_buffer("second", torch.zeros(size))
        self.register_buffer("steps", torch.zeros(()))

    def step(self, numbers: Tensor, gradient: Tensor) -> None:
        """Move the numbers (T,) in place against the gradient (T,)."""
        gradient = gradient.to(numbers.dtype) + self.weight_decay * numbers
        self.steps += 1
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient.square(), 0.001)
        mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        numbers.sub_(self.lr * mean / (square.sqrt() + 1e-8))

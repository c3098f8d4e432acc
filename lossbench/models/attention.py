"""Blocks of a transformer: attention to oneself and to what was read, then a perceptron; each normalised before it."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]
"""Each (N, heads, L, width / heads)."""


class Past(NamedTuple):
    """What the next token of a text sees in a block: of the tokens before it, and of what was read."""

    own: KeysValues
    other: KeysValues | None


class Attention(nn.Module):
    """Scaled dot products between queries and keys, of several heads (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def of(self, states: Tensor) -> KeysValues:
        """Return keys and values of states (N, L, W)."""
        keys, values = self.keys_values(states).chunk(2, -1)
        return self._in_heads(keys), self._in_heads(values)

    def forward(self, states: Tensor, seen: KeysValues, known: Tensor | None = None, causal: bool = False) -> Tensor:
        """Let states (N, T, W) look at keys and values, of which `known` (N, L) says which are there."""
        mask = None if known is None else known[:, None, None]
        queries = self._in_heads(self.query(states))
        found = F.scaled_dot_product_attention(queries, *seen, attn_mask=mask, is_causal=causal)
        mixed: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed

    def _in_heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """A block of an encoder (`read`), or of a decoder.

    Parameters
    ----------
    width : int
        Of the states; the perceptron is four times as wide.
    heads : int
        Of each attention.
    attends : bool
        Whether it also attends to what an encoder has read.

    """

    def __init__(self, width: int, heads: int, attends: bool = False) -> None:
        super().__init__()
        self.own, self.own_norm = Attention(width, heads), nn.LayerNorm(width)
        self.other = Attention(width, heads) if attends else None
        self.other_norm = nn.LayerNorm(width) if attends else None
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def read(self, states: Tensor, known: Tensor) -> Tensor:
        """Let all states (N, L, W) look at each other, as far as they are `known` (N, L)."""
        normed = self.own_norm(states)
        states = states + self.own(normed, self.own.of(normed), known)
        result: Tensor = states + self.perceptron(states)
        return result

    def forward(self, states: Tensor, memory: Any = None, past: Past | None = None) -> tuple[Tensor, Past]:
        """Let states (N, T, W) look at those before them and at a memory; with a past there is one of them (T = 1)."""
        normed = self.own_norm(states)
        seen = self.own.of(normed)
        if past is not None:
            seen = (torch.cat([past.own[0], seen[0]], 2), torch.cat([past.own[1], seen[1]], 2))
        states = states + self.own(normed, seen, causal=past is None)
        other = None
        if self.other is not None and self.other_norm is not None:
            other = self.other.of(memory.states) if past is None or past.other is None else past.other
            states = states + self.other(self.other_norm(states), other, memory.known)
        return states + self.perceptron(states), Past(seen, other)


def positions(start: int, length: int, like: Tensor) -> Tensor:
    """Return sines and cosines (length, W) of the places from `start` on, of the width, type and device of a tensor.

    Formula: sin(t / 10000^(2i/W)) and cos of the same, in the first and the second half (Vaswani et al. 2017)

    Examples
    --------
    >>> positions(0, 2, torch.zeros(1, 2))
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])

    """
    width = like.shape[-1]
    half = (width + 1) // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=like.device, dtype=like.dtype) / half)
    angles = torch.arange(start, start + length, device=like.device, dtype=like.dtype)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]

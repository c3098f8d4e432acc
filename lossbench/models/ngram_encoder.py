"""Encoders of texts: from the numbers of tokens, or from the vectors of a model that is not trained, to a vector."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.locate import locate
from lossbench.ranges import takes

PADDING = 0
"""The token that stands after the end of a text."""


@takes(vocabulary="int [2, inf)", dim="int [1, inf)", rarity="bool")
class NgramEncoder(nn.Module):
    """The mean of the vectors of a text's tokens, normalised, then a linear map: a bag of n-grams, without order.

    Parameters
    ----------
    input_shape : sequence of int
        Not used: texts may have any length.
    num_classes : int, optional
        Not used.
    vocabulary : int
        Numbers of tokens there are, 0 included, which is padding.
    dim : int
        The width of a vector.
    rarity : bool
        Whether rare tokens begin with longer vectors (`weigh_by_rarity`).

    Examples
    --------
    >>> encoder = NgramEncoder([4], vocabulary=9, dim=3)
    >>> one, other = encoder(torch.tensor([[5, 2, 0, 0], [2, 5, 0, 0]]))  # the order of tokens is not seen
    >>> bool(torch.equal(one, other)), tuple(one.shape)
    (True, (3,))

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int | None = None, vocabulary: int = 8192, dim: int = 128,
        rarity: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocabulary, self.rarity = vocabulary, rarity
        self.tokens = nn.EmbeddingBag(vocabulary, dim, mode="mean", padding_idx=PADDING)
        self.norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, dim)
        with torch.no_grad():
            self.tokens.weight.mul_(0.1)  # normalised anyway; a step of Adam is as long however small a weight is
        nn.init.orthogonal_(self.output.weight)  # cosines begin as those of the bags of tokens

    @torch.no_grad()
    def weigh_by_rarity(self, documents: Tensor) -> None:
        """Make the vector of a token as long as it is rare in documents (D, L), its mean length staying as it is.

        By log((D + 1) / (n + 1/2)) for a token in n documents: what a text shares with all others tells little of it.
        With `rarity=False` nothing is done.
        """
        if not self.rarity:
            return
        tokens = documents.sort(dim=1).values
        first = tokens.diff(dim=1, prepend=tokens.new_full((len(tokens), 1), PADDING)) != 0
        count = torch.bincount(tokens[first], minlength=self.vocabulary).to(self.tokens.weight)
        rarity = ((len(documents) + 1) / (count + 0.5)).log().clamp(min=0)
        mean = rarity[count > 0].mean()
        if mean > 0:
            self.tokens.weight.mul_((rarity / mean).unsqueeze(1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L), int64, to vectors (N, dim)."""
        vectors: Tensor = self.output(self.norm(self.tokens(tokens)))
        return vectors


@takes(vocabulary="int [2, inf)", dim="int [2, inf)", layers="int [1, inf)", heads="int [1, inf)")
class TransformerEncoder(nn.Module):
    """A small transformer from scratch, the mean over whose outputs is the vector of a text.

    Two layers of width 64 on 8,192 tokens have 0.6 M parameters. There is no dropout, and positions are sines, so that
    texts may have any length.

    Parameters
    ----------
    input_shape : sequence of int
        Not used.
    num_classes : int, optional
        Not used.
    vocabulary : int
        Numbers of tokens there are, 0 included, which is padding.
    dim : int
        The width of a vector, even, and divided by `heads`.
    layers, heads : int
        Of the transformer; the hidden layers are twice as wide as a vector.

    Raises
    ------
    ConfigError
        If the width is odd or not divided by the heads.

    References
    ----------
    Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762.

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        vocabulary: int = 8192,
        dim: int = 64,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if dim % heads or dim % 2:
            raise ConfigError(
                f"learner.network.dim={dim} must be even and a multiple of learner.network.heads={heads}. "
                f"Use dim={max(1, dim // (2 * heads)) * 2 * heads}."
            )
        self.vocabulary = vocabulary
        self.tokens = nn.Embedding(vocabulary, dim, padding_idx=PADDING)
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.output = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, L), int64, to vectors (N, dim)."""
        longest = max(1, int((tokens != PADDING).sum(1).max())) if len(tokens) else 1
        tokens = tokens[:, :longest]
        there = tokens != PADDING
        seen = there | (torch.arange(longest, device=tokens.device) == 0)  # an empty text sees its first padding
        states = self.tokens(tokens) + positions(longest, self.output.in_features).to(self.output.weight)
        states = self.layers(states, src_key_padding_mask=~seen)
        weights = seen.to(states).unsqueeze(2)
        vectors: Tensor = self.output((states * weights).sum(1) / weights.sum(1))
        return vectors


@takes(embedder="text", width="int [1, inf)", dim="int [1, inf)")
class SentenceVectors(nn.Module):
    """A linear map of the vectors that a function of the user's makes of texts, and which are not trained.

    It begins as random orthogonal directions, so that cosines are about those of the vectors themselves, exactly so if
    `dim` is not below `width`.

    Parameters
    ----------
    input_shape : sequence of int
        Not used.
    num_classes : int, optional
        Not used.
    embedder : str
        `module.function` that takes a list of texts and returns an array (n, width).
    width : int
        Numbers of such a vector.
    dim : int
        The width of what the map makes of it.

    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        embedder: str = "",
        width: int = 384,
        dim: int = 64,
    ) -> None:
        super().__init__()
        self.embedder, self.width = embedder, width
        self._embed: Callable[[list[str]], Any] = locate(embedder)
        self.output = nn.Linear(width, dim, bias=False)
        nn.init.orthogonal_(self.output.weight)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors (n, width), float32, of texts.

        Raises
        ------
        ConfigError
            If the function returns something else.

        """
        vectors = torch.as_tensor(self._embed(list(texts)), dtype=torch.float32)
        if vectors.shape != (len(texts), self.width) or not vectors.isfinite().all():
            raise ConfigError(
                f"learner.network.embedder={self.embedder} returned shape {tuple(vectors.shape)} for {len(texts)} "
                f"texts; it must be ({len(texts)}, {self.width}), finite numbers. Set learner.network.width to its "
                "width."
            )
        return vectors

    def forward(self, vectors: Tensor) -> Tensor:
        """Map vectors (N, width) to vectors (N, dim)."""
        mapped: Tensor = self.output(vectors)
        return mapped


def positions(length: int, dim: int) -> Tensor:
    """Return sines and cosines (length, dim) of the places in a text, of wavelengths from 2 pi to 20,000 pi."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)

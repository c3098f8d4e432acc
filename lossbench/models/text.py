"""Networks of tokens: language models, and translators of an encoder and a decoder that attends to it.

Tokens are whole numbers, 0 is padding. A decoder has one way in, `decode(tokens, ...)`: of all tokens at once, or one
after another with what it returned before. A translator has `encode(inputs)` beside it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.models.attention import Block, positions
from lossbench.ranges import takes


class Memory(NamedTuple):
    """What a decoder sees of the inputs.

    Parameters
    ----------
    states : Tensor (N, L, W)
        Of the tokens of the inputs.
    known : Tensor of bool (N, L)
        Which of them are no padding; the first one never counts as padding, so that there is something to see.

    """

    states: Tensor
    known: Tensor

    def repeated(self, times: int) -> "Memory":
        """Return it with each sample so many times in succession, (N * times, ...)."""
        return Memory(self.states.repeat_interleave(times, 0), self.known.repeat_interleave(times, 0))


@takes(embedding="int [1, inf)", hidden="int [1, inf)", layers="int [1, inf)")
class GRULM(nn.Module):
    """A recurrent language model: tokens as vectors, a GRU over them, logits of the next token.

    Parameters
    ----------
    input_shape : sequence of int
        Not used: texts may have any length.
    num_classes : int
        Number of tokens V, the padding included.
    embedding : int
        Width of the vector of a token.
    hidden : int
        Width of the GRU.
    layers : int
        GRUs on top of each other.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, embedding: int = 64, hidden: int = 128, layers: int = 1
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_classes, embedding, padding_idx=0)
        self.recurrent = nn.GRU(embedding, hidden, num_layers=layers, batch_first=True)
        self.outputs = nn.Linear(hidden, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T) to logits (N, T, V) of the token after each."""
        return self.decode(tokens)[0]

    def decode(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (N, T, V), and the state with which further tokens of the same texts are decoded."""
        hidden, state = self.recurrent(self.tokens(tokens), state)
        return self.outputs(hidden), state


@takes(width="int [1, inf)", layers="int [1, inf)", heads="int [1, inf)")
class TransformerLM(nn.Module):
    """A causal transformer: blocks of self-attention to what came before, normalised before each part.

    Parameters
    ----------
    input_shape : sequence of int
        Not used: positions are sines and cosines, which go on without end.
    num_classes : int
        Number of tokens V, the padding included.
    width : int
        Of the state of a token; its perceptrons are four times as wide.
    layers : int
        Number of blocks.
    heads : int
        Of each attention; divides the width.

    References
    ----------
    Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762; normalised first as in Radford et al. 2019.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, width: int = 96, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        _require_division(width, heads)
        self.tokens = nn.Embedding(num_classes, width, padding_idx=0)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T) to logits (N, T, V) of the token after each."""
        return self.decode(tokens)[0]

    def decode(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (N, T, V), and the state with which the next token (N, 1) of each text is decoded."""
        return _through_blocks(self, tokens, None, state)


@takes(embedding="int [1, inf)", hidden="int [2, inf)")
class GRUTranslator(nn.Module):
    """A bidirectional GRU reads the inputs, another GRU writes and attends to them with what it has written.

    The attention comes after the GRU and does not feed it ("general", without input feeding), so that all places are
    decoded at once where the tokens are known.

    Parameters
    ----------
    input_shape : sequence of int
        Not used: inputs may have any length.
    num_classes : int
        Number of tokens V of inputs and translations, the padding included.
    embedding : int
        Width of the vector of a token.
    hidden : int
        Width of each GRU, that of the inputs half of it in each direction.

    References
    ----------
    Luong, Pham and Manning 2015, "Effective Approaches to Attention-based Neural Machine Translation",
    arXiv:1508.04025.

    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, embedding: int = 32, hidden: int = 64) -> None:
        super().__init__()
        _require_division(hidden, 2)
        self.tokens = nn.Embedding(num_classes, embedding, padding_idx=0)
        self.encoder = nn.GRU(embedding, hidden // 2, batch_first=True, bidirectional=True)
        self.first = nn.Linear(hidden, hidden)
        self.decoder = nn.GRU(embedding, hidden, batch_first=True)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.joint = nn.Linear(2 * hidden, hidden)
        self.outputs = nn.Linear(hidden, num_classes)

    def encode(self, inputs: Tensor) -> Memory:
        """Read inputs (N, L); padding behind them changes nothing."""
        known = known_tokens(inputs)
        lengths = known.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.tokens(inputs), lengths, batch_first=True, enforce_sorted=False)
        states = nn.utils.rnn.pad_packed_sequence(self.encoder(packed)[0], batch_first=True)[0]
        return Memory(states, known[:, : states.shape[1]])

    def decode(self, tokens: Tensor, memory: Memory, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (N, T, V) of the token after each, and the state with which further ones are decoded."""
        weights = memory.known.unsqueeze(2).to(memory.states.dtype)
        if state is None:
            mean = (memory.states * weights).sum(1) / weights.sum(1)
            state = self.first(mean).tanh().unsqueeze(0)
        hidden, state = self.decoder(self.tokens(tokens), state)
        scores = self.query(hidden) @ memory.states.transpose(1, 2)
        seen = scores.masked_fill(~memory.known.unsqueeze(1), -torch.inf).softmax(-1) @ memory.states
        return self.outputs(self.joint(torch.cat([hidden, seen], -1)).tanh()), state


@takes(width="int [1, inf)", layers="int [1, inf)", heads="int [1, inf)")
class TransformerTranslator(nn.Module):
    """The transformer of Vaswani et al. (2017), small, and normalised before each part.

    Parameters
    ----------
    input_shape : sequence of int
        Not used: positions are sines and cosines, which go on without end.
    num_classes : int
        Number of tokens V of inputs and translations, the padding included.
    width : int
        Of the state of a token; its perceptrons are four times as wide.
    layers : int
        Number of blocks, of the encoder and of the decoder each.
    heads : int
        Of each attention; divides the width.

    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, width: int = 64, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        _require_division(width, heads)
        self.tokens = nn.Embedding(num_classes, width, padding_idx=0)
        self.encoder = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.read = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, attends=True) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, num_classes)

    def encode(self, inputs: Tensor) -> Memory:
        """Read inputs (N, L); padding behind them changes nothing."""
        known = known_tokens(inputs)
        states = self.tokens(inputs)
        states = states + positions(0, inputs.shape[1], states)
        for block in self.encoder:
            states = cast(Block, block).read(states, known)
        return Memory(self.read(states), known)

    def decode(self, tokens: Tensor, memory: Memory, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (N, T, V) of the token after each, and the state with which the next one (N, 1) is decoded."""
        return _through_blocks(self, tokens, memory, state)


def _through_blocks(network: Any, tokens: Tensor, memory: Memory | None, state: Any) -> tuple[Tensor, Any]:
    """Decode tokens (N, T), of which there is one where there is a state: the past of each block."""
    past = state or [None] * len(network.blocks)
    before = 0 if state is None else state[0].own[0].shape[2]
    states, following = network.tokens(tokens), []
    states = states + positions(before, tokens.shape[1], states)
    for block, earlier in zip(network.blocks, past, strict=True):
        states, now = block(states, memory, earlier)
        following.append(now)
    return network.outputs(network.last(states)), following


def known_tokens(inputs: Tensor) -> Tensor:
    """Return which tokens (N, L) are no padding; the first one of an input counts as none.

    Examples
    --------
    >>> known_tokens(torch.tensor([[5, 4, 0], [0, 0, 0]]))
    tensor([[ True,  True, False],
            [ True, False, False]])

    """
    return F.pad(inputs[:, 1:] != 0, (1, 0), value=True)


def _require_division(width: int, heads: int) -> None:
    if width % heads:
        raise ConfigError(f"learner.network: the width {width} is not a multiple of {heads}. Use one that is.")

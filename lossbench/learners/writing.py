"""Texts that a network writes itself, token by token: greedily, or drawn from its probabilities."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Choose = Callable[[Tensor], Tensor]
"""From logits (N, V) to the tokens (N,) that are written."""


def write(decode: Callable[..., tuple[Tensor, Any]], start: Tensor, longest: int, choose: Choose, end: int | None,
          **seen: Any) -> Tensor:  # fmt: skip
    """Write texts until each has ended, all at once.

    Parameters
    ----------
    decode : callable
        From tokens (N, 1), what is `seen` and the state that it returned before, to logits (N, 1, V) and a state.
    start : Tensor (N, 1)
        The token before the first one.
    longest : int
        Where a text is cut that has not ended, in tokens.
    choose : callable
        The next tokens (N,) from their logits (N, V): `likeliest`, or `drawn`.
    end : int or None
        The token that ends a text; None if nothing does.
    **seen
        What else is decoded with.

    Returns
    -------
    Tensor (N, T)
        The tokens, the end being one of them, then -1; T is the length of the longest text.

    """
    token, state, written = start, None, []
    ended = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    with torch.no_grad():
        for _ in range(longest):
            logits, state = decode(token, state=state, **seen)
            chosen = choose(logits[:, -1])
            written.append(torch.where(ended, -1, chosen))
            ended = ended | (chosen == end) if end is not None else ended
            if bool(ended.all()):
                break
            token = chosen.unsqueeze(1)
    return torch.stack(written, 1)


def likeliest(logits: Tensor) -> Tensor:
    """Return the tokens (N,) of the largest logits (N, V)."""
    return logits.argmax(-1)


def drawn(link: Callable[[Tensor], Tensor], draws: torch.Generator) -> Choose:
    """Return what draws tokens by the probabilities that a link makes of logits, from a stream of its own.

    The largest p / e is at a token with its probability p, where each e is from the standard exponential distribution.

    Examples
    --------
    >>> choose = drawn(lambda logits: logits.softmax(-1), torch.Generator().manual_seed(0))
    >>> tokens = choose(torch.tensor([0.7, 0.1, 0.2]).log().expand(10_000, 3))
    >>> [round(float((tokens == token).float().mean()), 1) for token in range(3)]
    [0.7, 0.1, 0.2]

    """

    def choose(logits: Tensor) -> Tensor:
        races = torch.empty(logits.shape).exponential_(generator=draws).to(logits.device)
        return (link(logits.float()) / races).argmax(-1)

    return choose

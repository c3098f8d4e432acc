"""The learner of language models: the next token of a text, given the true ones before it."""

from typing import Any

import torch

from lossbench.errors import ConfigError
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.learners.writing import drawn, write
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept
from lossbench.tasks.text.evaluate import of_tokens

WRITTEN = 160
"""Tokens that are written at an evaluation, to be looked at."""


class LanguageModel(Learner):
    """Train a network that maps the tokens of a text to logits of the token after each.

    Parameters
    ----------
    **common
        As for every `Learner`; the network maps tokens (N, T) to logits (N, T, V), and has `decode` (see
        `lossbench.models.text`).

    Raises
    ------
    ConfigError
        If the loss is one of drawn translations.

    """

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        if len(self.loss.declaration.sides[0]) > 3:
            raise ConfigError(
                f"loss={self.loss.name} is for translations that are drawn, but data of the task text have none. Use a "
                "loss of tokens, such as token_cross_entropy, or data of the task translation."
            )

    def called_with(self, batch: Any) -> Called:
        """Return the outputs for the texts of a batch, and the tokens that come next."""
        outputs = in_full_precision(self.network(batch.inputs))
        known = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        return outputs, batch.target, known

    def kept(self, batch: Any) -> Kept:
        """Keep what the true tokens had, not the probabilities of all others."""
        outputs = in_full_precision(self.network(batch.inputs))
        return {**of_tokens(self.loss, outputs, batch.target), "index": batch.index}

    def snapshot(self) -> Kept:
        """Return the start of a text as the network goes on with it: drawn from its probabilities, the same draws."""
        pieces = list(self.problem.shared.get("pieces", ()))
        first = pieces.index("\n") if "\n" in pieces else 1
        draws = torch_stream(0, "written text")
        start = torch.tensor([[first]], device=self.device)
        tokens = write(self.network.decode, start, WRITTEN, drawn(self.loss.link, draws), end=None)
        return {"written": tokens[0].cpu()}

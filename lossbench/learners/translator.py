"""The learner of translations: true tokens before each place, or whole translations that the network draws itself."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Called, Learner, in_full_precision
from lossbench.learners.writing import drawn, likeliest, write
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept
from lossbench.tasks.text.evaluate import of_tokens
from lossbench.tasks.text.overlap import tokens_bleu

START, END = 1, 2
"""The tokens before the first and after the last one of a translation; 0 is padding."""


@takes(scheduled_sampling="number [0, 1]", samples="int [1, inf)")
class Translator(Learner):
    """Train a network that reads a text and writes its translation, token by token.

    A loss whose outputs have three axes gets logits (N, T, V), each place given the true tokens before it, and the true
    tokens with the end behind them (N, T). One whose outputs have four (`minimum_risk`, `reinforce`) gets logits
    (N, S, T, V) of S translations that the network has drawn, their tokens (N, S, T), `costs` (N, S): 1 - BLEU of
    each, in tokens (`tokens_bleu`), and if it asks for it `baseline_cost` (N,), that of the greedy translation. The
    history has the mean cost as `train/cost`. An evaluation translates greedily.

    Parameters
    ----------
    scheduled_sampling : float in [0, 1]
        In the last epoch such a share of the tokens that a place is given are not the true ones but the likeliest ones,
        given the true ones before (in two passes, where Bengio et al. 2015 go token by token). It grows linearly, from
        0 in the first epoch.
    samples : int
        Translations that are drawn of each text, for losses that want them.
    **common
        As for every `Learner`; the network has `encode` and `decode` (see `lossbench.models.text`).

    Raises
    ------
    ConfigError
        If tokens are to be replaced for a loss that gets no true ones.

    References
    ----------
    Bengio et al. 2015, "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks", arXiv:1506.03099;
    in two passes: Mihaylova and Martins 2019, "Scheduled Sampling for Transformers", arXiv:1906.07651.

    """

    def __init__(self, scheduled_sampling: float, samples: int, **common: Any) -> None:
        super().__init__(**common)
        self.scheduled_sampling, self.samples = scheduled_sampling, samples
        self.draws_translations = len(self.loss.declaration.sides[0]) == 4
        if self.draws_translations and scheduled_sampling:
            raise ConfigError(
                f"learner.scheduled_sampling={scheduled_sampling:g}: loss={self.loss.name} is for translations that "
                "the network draws, there are no true tokens to be replaced. Use learner.scheduled_sampling=0."
            )
        if self.draws_translations:
            self.cold = (
                "an untrained network draws translations that are all as wrong as each other, from which "
                f"{self.loss.name} learns next to nothing. Start it warm: warm_start=token_cross_entropy"
            )
        self._draws = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._draws = torch_stream(self.seed, "translations", self.current_epoch)

    def called_with(self, batch: Any) -> Called:
        """Return the outputs for the texts of a batch, and the tokens that come next; or drawn ones."""
        memory = self.network.encode(trimmed(batch.inputs, 0))
        known = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        if self.draws_translations:
            return self._of_drawn(trimmed(batch.target, -1), memory, known)
        tokens, target = shifted(trimmed(batch.target, -1))
        share = self.scheduled_sampling * self.current_epoch / max(1, self.max_epochs - 1)
        if share:
            tokens = self.replaced(tokens, memory, share)
        return in_full_precision(self.network.decode(tokens, memory)[0]), target, known

    def replaced(self, tokens: Tensor, memory: Any, share: float) -> Tensor:
        """Put the likeliest tokens in the place of a share of the true ones, never of the start."""
        with torch.no_grad():
            own = likeliest(self.network.decode(tokens, memory)[0])
        chosen = torch.rand(tokens[:, 1:].shape, generator=self._draws).to(tokens.device) < share
        return torch.cat([tokens[:, :1], torch.where(chosen & (tokens[:, 1:] != 0), own[:, :-1], tokens[:, 1:])], 1)

    def _of_drawn(self, target: Tensor, memory: Any, known: dict[str, Any]) -> Called:
        """Draw translations, and return their logits with what they cost."""
        longest, count = target.shape[1] + 2, self.samples
        several = memory.repeated(count)
        texts = self.written(several, longest, drawn(self.loss.link, self._draws))
        costs = cost(texts, target.repeat_interleave(count, 0)).view(-1, count)
        self.add_terms(cost=costs.mean(1))
        if "baseline_cost" in self.loss.step_context:
            known["baseline_cost"] = cost(self.written(memory, longest, likeliest), target)
        outputs = in_full_precision(self.network.decode(given(texts), several)[0])
        return outputs.unflatten(0, (-1, count)), texts.unflatten(0, (-1, count)), {**known, "costs": costs}

    def written(self, memory: Any, longest: int, choose: Any) -> Tensor:
        """Translate what was read; see `write`."""
        start = torch.full((len(memory.states), 1), START, device=memory.states.device)
        return write(self.network.decode, start, longest, choose, END, memory=memory)

    def kept(self, batch: Any) -> Kept:
        """Keep what the true tokens had, and the greedy translation, which is cut where it is longer than all targets.

        It has a token more than the longest target, so that one that would not have ended does not look like that one.
        """
        memory = self.network.encode(trimmed(batch.inputs, 0))
        width = batch.target.shape[1] + 1
        tokens, target = shifted(batch.target)
        outputs = in_full_precision(self.network.decode(tokens, memory)[0])
        greedy = without_end(self.written(memory, width, likeliest))
        extras = self.problem.kept_of(batch.extras)
        told = of_tokens(self.loss, outputs, target)
        return {
            **{name: told[name].sum(1) for name in ("nll", "right")},
            "tokens": (target >= 0).sum(1),
            "hypothesis": F.pad(greedy, (0, width - greedy.shape[1]), value=-1),
            "target": batch.target,
            "inputs": batch.inputs,
            "index": batch.index,
            **extras,
        }


def cost(texts: Tensor, target: Tensor) -> Tensor:
    """Return 1 - BLEU (N,) of texts (N, T) with their end against targets (N, U) without; -1 pads both."""
    bleu = tokens_bleu(without_end(texts).cpu().numpy(), target.cpu().numpy())
    return 1 - torch.from_numpy(bleu).float().to(texts.device)


def shifted(target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the true tokens before each place, from the start on, and those of each place, up to the end.

    Examples
    --------
    >>> shifted(torch.tensor([[7, 8], [9, -1]]))
    (tensor([[1, 7, 8],
            [1, 9, 0]]), tensor([[ 7,  8,  2],
            [ 9,  2, -1]]))

    """
    longer = F.pad(target, (0, 1), value=-1)
    ends = longer.scatter(1, (target >= 0).sum(1, keepdim=True), END)
    return given(ends), ends


def given(texts: Tensor) -> Tensor:
    """Return the tokens (N, T) before each place of texts (N, T): the start, then all but the last; 0 after an end."""
    before = torch.where(texts == END, -1, texts)[:, :-1].clamp_min(0)
    return F.pad(before, (1, 0), value=START)


def without_end(texts: Tensor) -> Tensor:
    """Put -1 in the place of the end of texts (N, T)."""
    return torch.where(texts == END, -1, texts)


def trimmed(tokens: Tensor, padding: int) -> Tensor:
    """Leave out the last columns of tokens (N, T) that are padding in all rows; one column is left.

    Examples
    --------
    >>> trimmed(torch.tensor([[3, 0, 0], [4, 5, 0]]), 0).tolist()
    [[3, 0], [4, 5]]

    """
    there = (tokens != padding).any(0).nonzero()
    return tokens[:, : int(there[-1]) + 1 if len(there) else 1]

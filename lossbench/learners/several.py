"""The learner of several tasks of one network: supervised, with a loss for each part."""

from typing import Any

import torch
from torch import Tensor

from lossbench.learners.learner import in_full_precision
from lossbench.learners.supervised import Supervised, weighted


class Several(Supervised):
    """Train a network with a head for each task; its loss adds up those of the parts.

    The history has the mean of each part's loss over an epoch, without its weight, as `train/PART`.

    Parameters
    ----------
    **common
        As for `Supervised`; the head of the network is a `lossbench.models.heads.Heads`.

    """

    takes_a_model = True

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each sample of a batch: the sum of its terms."""
        return torch.stack([*self.per_sample_terms(batch).values()]).sum(0)

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return the loss (N,) of each part with its weight, by the name of the part."""
        head = self.network.head
        seen = head.seen(self.network.backbone(batch.inputs))
        outputs: Any = {name: in_full_precision(each) for name, each in head.outputs(seen).items()}
        known = {"epoch": self.current_epoch, "features": seen, "index": batch.index, "inputs": batch.inputs}
        context = {**known, **batch.extras}
        terms = self.loss.each_term(outputs, batch.target, **context)
        terms = {name: weighted(term, context.get("weight")) for name, term in terms.items()}
        self.add_terms(**terms)
        return self.loss.weighed(terms)

"""Losses of embeddings with what follows the batches without a gradient: a scale, or the centres of the classes.

x is an embedding, y its class, cos_k the cosine of x and the direction of class k, and theta_k its angle. Directions
and layers are parameters of the loss, as in `embedding_softmax`; what follows the batches is kept with the model.

Where a loss says nothing else:

Parameters
----------
embeddings : Tensor (N, D)
    Argument of the call: floating point, of any length.
target : Tensor (N,)
    Argument of the call: integer class indices.
num_classes : int
    Number of classes K, from the data.
num_features : int
    Width D of the embeddings, from the learner.

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.classification import cross_entropy, of_true_class, with_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.directions import cosines, random_directions
from lossbench.losses.links import on_unit_sphere

__all__ = ["adacos", "center_loss"]

_SMALLEST_SCALE = 0.1


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Zhang et al. 2019, "AdaCos: Adaptively Scaling Cosine Logits for Effectively Learning Deep Face '
        'Representations", arXiv:1905.00292'
    ),
    coupled=True,
    detached="the scale",
)
class adacos(nn.Module):  # noqa: N801
    """Cross-entropy of scaled cosines, whose scale follows from the batch: no hyper-parameter is left (AdaCos).

    Formula: -log(softmax(s cos)_y), with s = log(B) / cos(min(pi / 4, median theta_y)),
    B = (1 / N) sum_i sum_{k != y} exp(s' cos_ik), s' the scale of the step before

    The scale starts at sqrt(2) log(K - 1). A call in training first moves it, then uses it, and must come once a step;
    else the last one holds. It has no gradient. Of an even number of angles the median is the lower of the two in the
    middle. Unlike in the paper, s stays between 0.1 and twice its start: with few classes B can fall to 1, as their
    cosines get negative; and where wrong directions are nearer than 45 degrees, s would grow at every step, without
    bound. Two classes, for which sqrt(2) log(K - 1) is 0, start as three do.

    Examples
    --------
    >>> criterion = adacos(num_classes=11, num_features=2)
    >>> criterion.scale
    tensor(3.2563)
    >>> criterion(torch.zeros(1, 2), torch.tensor([0])).detach()  # log 11; and B = 10, theta = pi / 2
    tensor([2.3979])
    >>> criterion.scale
    tensor(3.2563)

    """

    scale: Tensor

    def __init__(self, *, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.weight = random_directions(num_classes, num_features)
        start = math.sqrt(2) * math.log(max(num_classes - 1, 2))
        self.largest = 2 * start
        self.register_buffer("scale", torch.tensor(start))

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample; in training, move the scale before."""
        found = cosines(embeddings, self.weight)
        if self.training:
            self.scale = self._next_scale(found.detach(), target)
        return cross_entropy(self.scale * found, target)

    def _next_scale(self, found: Tensor, target: Tensor) -> Tensor:
        precise = found.to(torch.promote_types(found.dtype, torch.float32))
        log_b = with_true_class(self.scale * precise, target, -math.inf).logsumexp((0, 1)) - math.log(len(found))
        angle = of_true_class(precise, target).clamp(-1, 1).acos().median()
        scale = log_b / angle.clamp(max=math.pi / 4).cos()
        return scale.clamp(_SMALLEST_SCALE, self.largest).to(self.scale)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Wen et al. 2016, "A Discriminative Feature Learning Approach for Deep Face Recognition", '
        "doi:10.1007/978-3-319-46478-7_31"
    ),
    ranges={"lam": "[0, inf)", "alpha": "[0, 1]"},
)
class center_loss(nn.Module):  # noqa: N801
    """Cross-entropy of a linear layer, plus the squared distance of each embedding from the centre of its class.

    Formula: -log(softmax(W x + b)_y) + lam 0.5 |x - c_y|^2

    The centres are no parameters. They start at 0, and each call in training moves them without a gradient, after they
    were used: c_k -= alpha sum_{i: y_i = k} (c_k - x_i) / (1 + n_k), n_k being how many of the batch are of class k. So
    it must come once a step. lam = 0 is `embedding_softmax`. Distances are Euclidean, of embeddings of any length.

    Parameters
    ----------
    lam : float from 0
        Weight of the distances (the paper's lambda).
    alpha : float in [0, 1]
        Pace of the centres.

    Examples
    --------
    >>> criterion = center_loss(num_classes=2, num_features=2, lam=1.0, alpha=0.5)
    >>> _ = criterion.linear.weight.data.zero_(), criterion.linear.bias.data.zero_()
    >>> criterion(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).detach()  # log 2 + 0.5 * 2^2
    tensor([2.6931])
    >>> criterion.centers
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])

    """

    centers: Tensor

    def __init__(self, *, num_classes: int, num_features: int, lam: float = 0.003, alpha: float = 0.5) -> None:
        super().__init__()
        self.lam, self.alpha = lam, alpha
        self.linear = nn.Linear(num_features, num_classes)
        self.register_buffer("centers", torch.zeros(num_classes, num_features))

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample and, in training, move the centres."""
        values = cross_entropy(self.linear(embeddings.to(self.linear.weight.dtype)), target)
        apart = embeddings - self.centers[target.long()]
        if self.training:
            self.centers = self.centers - self.alpha * self._pull(embeddings.detach(), target)
        return values + self.lam * 0.5 * apart.square().sum(-1)

    def _pull(self, embeddings: Tensor, target: Tensor) -> Tensor:
        members = F.one_hot(target.long(), len(self.centers)).to(self.centers)
        counts = members.sum(0).unsqueeze(-1)
        return (counts * self.centers - members.T @ embeddings.to(self.centers)) / (1 + counts)

"""Losses of embeddings that classify them by directions of their own: softmax, normalised, and with margins.

The directions w_k are parameters of the loss, one for each class of the training data, which a prediction never sees:
embeddings are compared with each other. x is an embedding, y its class, cos_k = x . w_k / (|x| |w_k|), and theta_k the
angle of this cosine. The directions start uniformly on the sphere, of length about 1, and learn with the network. An
embedding of length 0 has no direction: its cosines are 0, with the finite slope w_k / |w_k|.

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

from lossbench.losses.classification import cross_entropy, place_of_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.directions import along, cosines, random_directions, unit
from lossbench.losses.links import on_unit_sphere
from lossbench.losses.margin import arcface, cosface, norm_softmax

__all__ = [
    "embedding_arcface",
    "embedding_cosface",
    "embedding_norm_softmax",
    "embedding_softmax",
    "sphereface",
    "subcenter_arcface",
]


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network Outputs, with '
        'Relationships to Statistical Pattern Recognition", doi:10.1007/978-3-642-76153-9_28'
    ),
)
class embedding_softmax(nn.Module):  # noqa: N801  (called as the functions are: loss=embedding_softmax)
    """Cross-entropy of a linear layer on the embeddings: a classifier whose last layer is then left out.

    Formula: -log(softmax(W x + b)_y)

    It is `cross_entropy`, its layer being a part of the loss. Lengths count here, but not where embeddings are
    compared.

    Examples
    --------
    >>> criterion = embedding_softmax(num_classes=3, num_features=2)
    >>> _ = criterion.linear.bias.data.zero_()
    >>> criterion(torch.zeros(1, 2), torch.tensor([0])).detach()
    tensor([1.0986])

    """

    def __init__(self, *, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return cross_entropy(self.linear(embeddings.to(self.linear.weight.dtype)), target)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Wang et al. 2017, "NormFace: L2 Hypersphere Embedding for Face Verification", arXiv:1704.06369; Zhai '
        'and Wu 2019, "Classification is a Strong Baseline for Deep Metric Learning", arXiv:1811.12649'
    ),
    ranges={"s": "(0, inf)"},
)
class embedding_norm_softmax(nn.Module):  # noqa: N801
    """Cross-entropy of scaled cosines of embeddings and directions of the classes (NormFace).

    Formula: -log(softmax(s cos)_y)

    `norm_softmax`, the directions being a part of the loss.

    Parameters
    ----------
    s : float above 0
        Scale of the cosines: 1 / s is the temperature.

    Examples
    --------
    >>> criterion = embedding_norm_softmax(num_classes=2, num_features=2, s=5.0)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.tensor([[8.0, 6.0]]), torch.tensor([0])).detach()
    tensor([0.3133])

    """

    def __init__(self, *, num_classes: int, num_features: int, s: float = 20.0) -> None:
        super().__init__()
        self.s = s
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return norm_softmax(cosines(embeddings, self.weight), target, s=self.s)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Liu et al. 2017, "SphereFace: Deep Hypersphere Embedding for Face Recognition", arXiv:1704.08063 (A-Softmax)'
    ),
    ranges={"m": "[1, 16]", "lambda_": "[0, inf)"},
)
class sphereface(nn.Module):  # noqa: N801
    """Cross-entropy that multiplies the angle of the true class by m; embeddings keep their length (A-Softmax).

    Formula: -log(softmax(z)_y), with z_k = |x| cos_k, but z_y = |x| (lambda cos_y + psi(theta_y)) / (1 + lambda),
    psi = (-1)^k cos(m theta) - 2k on [k pi / m, (k + 1) pi / m]

    psi, and not cos(m theta), falls all the way from 1 to 1 - 2m. The directions have length 1 and no bias. m = 1 is
    the softmax on normalised weights. The authors' configuration lowers lambda from 1000 as 1 / (1 + 0.12 steps) down
    to 5; here it is what that ends with from the first step. With lambda 0 the shortest embeddings are the safest as
    long as the angles are wrong: on 8x8 digits they collapsed to a point at m = 4.

    Parameters
    ----------
    m : int from 1 to 16
        What the angle is multiplied by.
    lambda_ : float from 0
        How much the cosine counts against psi; 5 is what the authors' configuration ends with.

    Examples
    --------
    >>> criterion = sphereface(num_classes=2, num_features=2, m=2, lambda_=0.0)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.tensor([[4.0, 3.0]]), torch.tensor([0])).detach()  # 5 (2 * 0.8^2 - 1) = 1.4 against 3
    tensor([1.7839])

    """

    def __init__(self, *, num_classes: int, num_features: int, m: int = 4, lambda_: float = 5.0) -> None:
        super().__init__()
        self.m, self.lambda_ = m, lambda_
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        logits = along(embeddings, self.weight)
        own = (unit(embeddings) * unit(self.weight)[target.long()]).sum(-1, keepdim=True)
        change = embeddings.norm(dim=-1, keepdim=True) * (psi(own, self.m) - own) / (1 + self.lambda_)
        return cross_entropy(logits.scatter_add(-1, place_of_true_class(logits, target), change), target)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source='Wang et al. 2018, "CosFace: Large Margin Cosine Loss for Deep Face Recognition", arXiv:1801.09414',
    ranges={"m": "[0, inf)", "s": "(0, inf)"},
)
class embedding_cosface(nn.Module):  # noqa: N801
    """Cross-entropy of scaled cosines of embeddings and directions, that of the true class less a margin (CosFace).

    Formula: -log(softmax(s (cos - m e_y))_y)

    `cosface`, the directions being a part of the loss. m = 0 is `embedding_norm_softmax`. The defaults are those for
    face recognition, with many thousand classes; with few classes a smaller s trains better.

    Parameters
    ----------
    m : float from 0
        Margin, in units of the cosine.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> criterion = embedding_cosface(num_classes=2, num_features=2, m=0.2, s=20.0)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.tensor([[8.0, 6.0]]), torch.tensor([0])).detach()
    tensor([0.6931])

    """

    def __init__(self, *, num_classes: int, num_features: int, m: float = 0.35, s: float = 64.0) -> None:
        super().__init__()
        self.m, self.s = m, s
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return cosface(cosines(embeddings, self.weight), target, m=self.m, s=self.s)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source='Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv:1801.07698',
    ranges={"m": "[0, 1.5]", "s": "(0, inf)"},
)
class embedding_arcface(nn.Module):  # noqa: N801
    """Cross-entropy of scaled cosines of embeddings and directions, the angle of the true class widened (ArcFace).

    Formula: -log(softmax(s t)_y), with t_k = cos_k, but t_y = cos(theta_y + m)

    `arcface`, the directions being a part of the loss: beyond theta = pi - m it has t_y = cos_y - m sin(m), so that t_y
    always falls with the angle. The margin is in radians; pytorch-metric-learning's is in degrees. m = 0 is
    `embedding_norm_softmax`. The defaults are those for face recognition, with many thousand classes; with few classes
    a smaller s trains better.

    Parameters
    ----------
    m : float in [0, 1.5]
        Margin, in radians.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> criterion = embedding_arcface(num_classes=2, num_features=2, m=0.5, s=20.0)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.tensor([[8.0, 6.0]]), torch.tensor([0])).detach()
    tensor([3.7359])

    """

    def __init__(self, *, num_classes: int, num_features: int, m: float = 0.5, s: float = 64.0) -> None:
        super().__init__()
        self.m, self.s = m, s
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return arcface(cosines(embeddings, self.weight), target, m=self.m, s=self.s)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Deng et al. 2020, "Sub-center ArcFace: Boosting Face Recognition by Large-Scale Noisy Web Faces", '
        "doi:10.1007/978-3-030-58621-8_43"
    ),
    problem="noise",
    ranges={"sub_centers": "[1, inf)", "m": "[0, 1.5]", "s": "(0, inf)"},
)
class subcenter_arcface(nn.Module):  # noqa: N801
    """ArcFace with several directions for each class, of which the nearest counts.

    Formula: `embedding_arcface` of cos_k = max_j cos(x, w_kj)

    A class that looks in several ways, or has wrong labels, can gather them at a direction of their own. One direction
    is `embedding_arcface`. Directions that are equally near share the gradient.

    Parameters
    ----------
    sub_centers : int from 1
        Directions of each class.
    m : float in [0, 1.5]
        Margin, in radians.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> criterion = subcenter_arcface(num_classes=2, num_features=2, sub_centers=2, m=0.0, s=5.0)
    >>> _ = criterion.weight.data.copy_(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]], [[0.0, 1.0], [0.0, -1.0]]]))
    >>> criterion(torch.tensor([[8.0, 6.0], [-8.0, 6.0]]), torch.tensor([0, 0])).detach()
    tensor([0.3133, 0.3133])

    """

    def __init__(
        self, *, num_classes: int, num_features: int, sub_centers: int = 3, m: float = 0.5, s: float = 64.0
    ) -> None:
        super().__init__()
        self.m, self.s = m, s
        self.weight = random_directions(num_classes, sub_centers, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        return arcface(cosines(embeddings, self.weight).amax(-1), target, m=self.m, s=self.s)


def psi(cosine: Tensor, m: int) -> Tensor:
    """Return (-1)^k cos(m theta) - 2k, k = floor(m theta / pi), of cosines of theta: it falls from 1 to 1 - 2m.

    Examples
    --------
    >>> psi(torch.tensor([1.0, 0.0, -1.0]), 4)
    tensor([ 1., -3., -7.])

    """
    # At theta = pi the branch is the last one, m - 1: the next has the same value, but the slope of the other sign.
    k = (m / math.pi * cosine.detach().clamp(-1, 1).acos()).floor().clamp(max=m - 1)
    # cos(m theta) as Chebyshev's polynomial of cos(theta), whose slope is finite at the ends.
    before, power = torch.ones_like(cosine), cosine
    for _ in range(m - 1):
        before, power = power, 2 * cosine * power - before
    return (1 - 2 * (k % 2)) * power - 2 * k

"""Embeddings learned without classes: two views of one image come near, and something keeps all from becoming equal.

For two views of each image (`data.views=2`): two rows with the same `index` are a pair (`other_view`). z_i is the
embedding of row i and z'_i that of its other view. The rows of a batch do not say which view is the first, so that a
pair counts in both orders: a loss of two batches of views is that of the batch Z of all 2 B rows and of Z', the same
rows with the views exchanged. Statistics are thus those of both views together, where the papers take them by view.

What belongs to the batch as a whole, such as a correlation or a covariance, is the same for every row, so that the
plain mean over the batch is the formula. A row without another view has the value 0 in terms that need one. Embeddings
that are all equal or all 0 have finite values and gradients. Classes are not looked at. Beware of the opposite of what
they are for: a network of which all embeddings are equal has the least value of `sim_siam` and `byol`.

Where a loss says nothing else:

Parameters
----------
embeddings : Tensor (N, D)
    Floating point; half precision is computed in float32.
target : Tensor (N,)
    Not used.
index : Tensor (N,)
    Numbers of the images.

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target is not of shape (N,).

"""

import torch
from torch import Tensor, nn

from lossbench.losses.classification import in_single_precision
from lossbench.losses.declaration import loss
from lossbench.losses.links import on_unit_sphere
from lossbench.losses.pairs_of_samples import log_sum_exp, other_view, squared_distances, unit

__all__ = ["alignment_uniformity", "barlow_twins", "byol", "sim_siam", "vicreg"]

_LEAST_VARIANCE = 1e-6
_EPSILON = 1e-4


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Zbontar et al. 2021, "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", arXiv:2103.03230',
    ranges={"lambda_": "[0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def barlow_twins(embeddings: Tensor, target: Tensor, *, index: Tensor, lambda_: float = 5e-3) -> Tensor:
    """Correlation of the views over the batch drawn to the identity: each dimension the same, and no two alike.

    Formula: sum_a (1 - C_aa)^2 + lambda_ sum_{a != b} C_ab^2, C = (1 / N) sum_i s(z_i) s(z'_i)^T, s standardising

    Each dimension is standardised by its mean and its biased variance, as C divides by N, so that equal views have
    C_aa = 1; variances below 1e-6 count as 1e-6. Libraries mix in the unbiased one: monai's C_aa is (N - 1) / N then.
    Rows without another view take no part and have the same value; without any pair it is 0. The embeddings are not
    put on the sphere. Collapsed embeddings have the value D.

    Parameters
    ----------
    lambda_ : float from 0
        Weight of the correlations of different dimensions.

    Examples
    --------
    >>> views = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, 1.0]])
    >>> barlow_twins(views, torch.zeros(4), index=torch.tensor([0, 1, 0, 1]))
    tensor([1., 1., 1., 1.])

    """
    view, paired = other_view(index)
    there, n = paired.unsqueeze(1), paired.sum().clamp_min(1)
    x = in_single_precision(embeddings)
    centred = torch.where(there, x - torch.where(there, x, 0.0).sum(0) / n, 0.0)
    z = centred / (centred.square().sum(0) / n).clamp_min(_LEAST_VARIANCE).sqrt()
    correlation = z.T @ z[view] / n
    diagonal = correlation.diagonal()
    value = (1 - diagonal).square().sum() + lambda_ * _off_diagonal(correlation)
    return torch.where(paired.any(), value, 0 * value).expand(len(x))


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Bardes et al. 2022, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", '
        "arXiv:2105.04906"
    ),
    ranges={"invariance": "[0, inf)", "variance": "[0, inf)", "covariance": "[0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def vicreg(
    embeddings: Tensor,
    target: Tensor,
    *,
    index: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """Draw views together, keep each dimension spread out over the batch, and no two dimensions correlated.

    Formula: invariance (1 / D) |z - z'|^2 + variance (v(Z) + v(Z')) / 2 + covariance (c(Z) + c(Z')), with
    v = (1 / D) sum_a max(0, 1 - sqrt(C_aa + 1e-4)), c = (1 / D) sum_{a != b} C_ab^2, C the unbiased covariance

    As in the authors' code and pytorch-metric-learning, which divide the first term by D and the second by 2, as the
    paper's text does not. Rows without another view count in C and have the value of the other two terms. The
    embeddings are not put on the sphere.

    Parameters
    ----------
    invariance, variance, covariance : float from 0
        Weights of the terms; the paper calls them lambda, mu and nu.

    Examples
    --------
    >>> vicreg(torch.ones(4, 2), torch.zeros(4), index=torch.tensor([0, 1, 0, 1]))
    tensor([24.7500, 24.7500, 24.7500, 24.7500])

    """
    view, _ = other_view(index)
    x = in_single_precision(embeddings)
    unlike = (x - x[view]).square().mean(1)  # 0 for a row without another view, which meets itself
    centred = x - x.mean(0)
    matrix = centred.T @ centred / max(len(x) - 1, 1)
    short = (1 - (matrix.diagonal() + _EPSILON).sqrt()).relu().mean()
    redundant = _off_diagonal(matrix) / x.shape[1]
    return invariance * unlike + variance * short + 2 * covariance * redundant  # of Z and Z', which have the same C


def _off_diagonal(matrix: Tensor) -> Tensor:
    """Return the sum of the squares off the diagonal."""
    return (matrix - matrix.diagonal().diag()).square().sum()


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Chen and He 2021, "Exploring Simple Siamese Representation Learning", arXiv:2011.10566',
    coupled=True,
    detached="the embedding of the other view",
    shapes="N D , N -> N",
)
class sim_siam(nn.Module):  # noqa: N801  (called as the functions are: loss=sim_siam)
    """Negative cosine of what a predictor makes of one view and the embedding of the other, which is held constant.

    Formula: -cos(h(z_i), z'_i), h(z) = W_2 relu(W_1 z + b_1) + b_2, no gradient through z'_i

    The mean over both views is the paper's loss. h learns with the network and is no part of it: D -> D / 4 -> D. The
    paper's has batch normalisation after the first layer; here there is none, so that an embedding is predicted from
    itself alone, in evaluation as in training.

    Parameters
    ----------
    num_features : int from 1
        D.

    Returns
    -------
    Tensor (N,)
        For embeddings (N, D): values in [-1, 1]; 0 for a row without another view.

    Examples
    --------
    >>> criterion = sim_siam(num_features=4)
    >>> criterion(torch.ones(3, 4), torch.zeros(3), index=torch.tensor([0, 1, 0])).shape
    torch.Size([3])

    """

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        self.predictor = _predictor(num_features, max(num_features // 4, 1))

    def forward(self, embeddings: Tensor, target: Tensor, *, index: Tensor) -> Tensor:
        """Return the loss of each row."""
        view, paired = other_view(index)
        cosine = (_predicted(self.predictor, embeddings) * unit(embeddings.detach())[view]).sum(1)
        return torch.where(paired, -cosine, 0.0)


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Grill et al. 2020, "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", arXiv:2006.07733'
    ),
    coupled=True,
    shapes="N D , N -> N",
)
class byol(nn.Module):  # noqa: N801
    """Squared distance, on the unit sphere, of what a predictor makes of one view and the slow network of the other.

    Formula: 2 - 2 cos(h(z_i), m'_i), m'_i the embedding of the other view by the slow copy of the network

    The paper adds both directions, which is twice the mean over both views. h learns with the network and is no part of
    it: one hidden layer of 4 D units, and no batch normalisation, which the paper's has. The slow copy is the
    learner's (`learner.momentum`).

    Parameters
    ----------
    num_features : int from 1
        D.
    momentum_embeddings : Tensor (N, D)
        What the slow copy makes of the same rows, without a gradient.

    Returns
    -------
    Tensor (N,)
        For embeddings (N, D): values in [0, 4]; 0 for a row without another view.

    Examples
    --------
    >>> criterion, views = byol(num_features=4), torch.ones(3, 4)
    >>> criterion(views, torch.zeros(3), index=torch.tensor([0, 1, 0]), momentum_embeddings=views).shape
    torch.Size([3])

    """

    def __init__(self, *, num_features: int) -> None:
        super().__init__()
        self.predictor = _predictor(num_features, 4 * num_features)

    def forward(self, embeddings: Tensor, target: Tensor, *, index: Tensor, momentum_embeddings: Tensor) -> Tensor:
        """Return the loss of each row."""
        view, paired = other_view(index)
        cosine = (_predicted(self.predictor, embeddings) * unit(momentum_embeddings)[view]).sum(1)
        return torch.where(paired, 2 - 2 * cosine, 0.0)


def _predicted(predictor: nn.Sequential, embeddings: Tensor) -> Tensor:
    """Return what a predictor makes of embeddings, on the unit sphere."""
    return unit(predictor(embeddings.to(next(predictor.parameters()).dtype)))


def _predictor(num_features: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_features, hidden), nn.ReLU(), nn.Linear(hidden, num_features))


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and Uniformity on '
        'the Hypersphere", arXiv:2005.10242'
    ),
    ranges={"weight": "[0, inf)", "t": "(0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def alignment_uniformity(
    embeddings: Tensor, target: Tensor, *, index: Tensor, weight: float = 1.0, t: float = 2.0
) -> Tensor:
    """Squared distance of the views on the unit sphere, and how far all images are from covering it evenly.

    Formula: |z_i - z'_i|^2 + weight log(mean over rows j, k of different images of exp(-t |z_j - z_k|^2))

    Alignment is that of power 2, the authors' choice. The second belongs to the batch and is
    the same for all rows: 0 where all images are one point, or there is one image only, else below 0. Rows without
    another view count in it and have no first term. Embeddings are put on the sphere inside.

    Parameters
    ----------
    weight : float from 0
        Weight of the second term.
    t : float above 0
        Sharpness of the Gaussian.

    Returns
    -------
    Tensor (N,)
        Values from -4 t weight.

    Examples
    --------
    >>> views = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    >>> alignment_uniformity(views, torch.zeros(4), index=torch.tensor([0, 0, 1, 1]))
    tensor([-8., -8., -8., -8.])

    """
    view, _ = other_view(index)
    z = unit(embeddings)
    apart = index.unsqueeze(1) != index
    pairs = apart.sum()
    uniformity = log_sum_exp(-t * squared_distances(z).flatten(), apart.flatten()) - pairs.clamp_min(1).to(z).log()
    return (z - z[view]).square().sum(1) + weight * torch.where(pairs > 0, uniformity, 0.0)

"""Losses of generative adversarial networks: one function says what each player, discriminator or generator, minimises.

f is a score of the discriminator (of the critic), unbounded: x is real where D = sigmoid(f) is near 1. Sample i of a
batch is a pair of a fake with score f(G(z_i)) and a real one with score f(x_i), so that the mean over the batch is the
sum of both means. In the step of the generator the real scores are constant. All are computed from the scores, which
keeps the gradient where a discriminator is sure.

Interpolates and their gradients are made by the learner, and only for a loss that asks for them by name.

Where a loss says nothing else:

Parameters
----------
fake_scores, real_scores : Tensor (N,)
    Scores f of generated and of real samples, floating point.
player : str
    "discriminator" or "generator": whose loss it is.

Returns
-------
Tensor (N,)
    Values from 0.

"""

from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity

__all__ = [
    "hinge_gan",
    "least_squares_gan",
    "minimax_gan",
    "non_saturating",
    "r1_gan",
    "relativistic_average_gan",
    "relativistic_gan",
    "wasserstein",
    "wgan_gp",
]


@loss(task="gan", link=identity, source='Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv:1406.2661')
def minimax_gan(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Minimax GAN loss: the generator maximises what the discriminator minimises.

    Formula: discriminator -log D(x) - log(1 - D(G(z))); generator log(1 - D(G(z)))

    The gradient of the generator vanishes where the discriminator is sure that a sample is fake, as it is at the start:
    the authors therefore train with `non_saturating`. Against the best discriminator the sum of both terms is
    2 log 2 - 2 JS, with JS the Jensen-Shannon divergence of the two distributions.

    Returns
    -------
    Tensor (N,)
        From 0 for the discriminator, up to 0 for the generator.

    Examples
    --------
    >>> import torch
    >>> minimax_gan(torch.zeros(1), torch.zeros(1), player="discriminator")
    tensor([1.3863])

    """
    if player == "generator":
        return -F.softplus(fake_scores)
    return F.softplus(-real_scores) + F.softplus(fake_scores)


@loss(
    task="gan",
    link=identity,
    source='Goodfellow et al. 2014, "Generative Adversarial Nets", section 3, arXiv:1406.2661',
)
def non_saturating(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Non-saturating GAN loss: the generator raises the log probability that its samples pass as real.

    Formula: discriminator -log D(x) - log(1 - D(G(z))); generator -log D(G(z))

    The discriminator is that of `minimax_gan`; the generator has its fixed point, and a gradient where a sample is
    surely fake. Some texts print the discriminator's line under this name.

    Examples
    --------
    >>> import torch
    >>> non_saturating(torch.zeros(1), torch.zeros(1), player="generator")
    tensor([0.6931])

    """
    if player == "generator":
        return F.softplus(-fake_scores)
    return F.softplus(-real_scores) + F.softplus(fake_scores)


@loss(
    task="gan",
    link=identity,
    source='Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9, arXiv:1611.04076',
)
def least_squares_gan(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Least-squares GAN loss (LSGAN): scores are pulled to 1 for real and 0 for fake samples.

    Formula: discriminator ((f(x) - 1)^2 + f(G(z))^2) / 2; generator (f(G(z)) - 1)^2 / 2

    A sample is pulled towards the boundary however far on the right side of it. The best discriminator is
    p_data / (p_data + p_G). With the codes -1, 1, 0 of the paper's theorem the generator minimises a Pearson chi-square
    divergence; these are its codes 0, 1, 1, which it uses for images. Some libraries leave out the halves.

    Parameters
    ----------
    fake_scores, real_scores : Tensor (N,)
        Scores f of generated and of real samples, floating point; no sigmoid.

    Examples
    --------
    >>> import torch
    >>> least_squares_gan(torch.tensor([0.5]), torch.tensor([0.5]), player="discriminator")
    tensor([0.2500])

    """
    if player == "generator":
        return (fake_scores - 1).square() / 2
    return ((real_scores - 1).square() + fake_scores.square()) / 2


@loss(task="gan", link=identity, source='Lim and Ye 2017, "Geometric GAN", arXiv:1705.02894')
def hinge_gan(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Hinge GAN loss (geometric GAN): scores beyond the margin teach the discriminator nothing more.

    Formula: discriminator max(0, 1 - f(x)) + max(0, 1 + f(G(z))); generator -f(G(z))

    Returns
    -------
    Tensor (N,)
        From 0 for the discriminator, any number for the generator.

    Examples
    --------
    >>> import torch
    >>> hinge_gan(torch.tensor([-2.0, 0.5]), torch.tensor([0.25, 3.0]), player="discriminator")
    tensor([0.7500, 1.5000])

    """
    if player == "generator":
        return -fake_scores
    return (1 - real_scores).relu() + (1 + fake_scores).relu()


@loss(
    task="gan",
    link=identity,
    source='Arjovsky et al. 2017, "Wasserstein Generative Adversarial Networks", arXiv:1701.07875',
    ranges={"clip": "(0, inf)"},
)
def wasserstein(fake_scores: Tensor, real_scores: Tensor, *, player: str, clip: float = 0.01) -> Tensor:
    """Wasserstein GAN loss (WGAN): the critic's scores, whose weights are cut to a small box after each of its steps.

    Formula: critic f(G(z)) - f(x); generator -f(G(z))

    With f of Lipschitz constant at most K the negative of the critic's loss estimates K times the Wasserstein-1
    distance. The learner cuts each weight of the critic to [-clip, clip], which bounds K but does not say which. The
    paper trains by RMSProp at 5e-5 (`optimizer=rmsprop`) with five steps of the critic for each of the generator
    (`learner.critic_steps=5`): momentum harmed it.

    Parameters
    ----------
    player : str
        "discriminator" (here the critic) or "generator": whose loss it is.
    clip : float in (0, inf)
        Largest absolute value of a weight of the critic; the value of the loss does not depend on it.

    Returns
    -------
    Tensor (N,)
        Any number.

    Examples
    --------
    >>> import torch
    >>> wasserstein(torch.tensor([0.25]), torch.tensor([1.0]), player="discriminator")
    tensor([-0.7500])

    """
    return -fake_scores if player == "generator" else fake_scores - real_scores


@loss(
    task="gan",
    link=identity,
    source='Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028',
    ranges={"penalty": "[0, inf)"},
)
def wgan_gp(
    fake_scores: Tensor,
    real_scores: Tensor,
    *,
    player: str,
    gradient_norm: Tensor,
    penalty: float = 10.0,
) -> Tensor:
    """Wasserstein GAN loss with gradient penalty (WGAN-GP): the critic is pulled to slopes of 1 between the samples.

    Formula: critic f(G(z)) - f(x) + penalty (|grad f(u x + (1 - u) G(z))| - 1)^2; generator -f(G(z))

    u is drawn uniformly in [0, 1] for each pair. The penalty needs a critic that treats each sample by itself: no batch
    normalisation. The paper takes five steps of the critic for each of the generator; its code takes a penalty of 0.1
    for points in the plane, with which fewer are enough. The difference of mean scores estimates the Wasserstein-1
    distance.

    Parameters
    ----------
    player : str
        "discriminator" (here the critic) or "generator": whose loss it is.
    gradient_norm : Tensor (N,)
        Norm of the critic's gradient at each interpolate; not read for the generator.
    penalty : float in [0, inf)
        Weight of the penalty, lambda in the paper.

    Returns
    -------
    Tensor (N,)
        Any number.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1)
    >>> wgan_gp(0.25 * one, one, player="discriminator", gradient_norm=1.5 * one)
    tensor([1.7500])

    """
    if player == "generator":
        return -fake_scores
    return fake_scores - real_scores + penalty * (gradient_norm - 1).square()


@loss(
    task="gan",
    link=identity,
    source='Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", arXiv:1801.04406',
    ranges={"gamma": "[0, inf)"},
)
def r1_gan(
    fake_scores: Tensor,
    real_scores: Tensor,
    *,
    player: str,
    real_gradient_norm: Tensor,
    gamma: float = 10.0,
) -> Tensor:
    """Non-saturating GAN loss with R1 penalty: the discriminator is pulled to slopes of 0 at the data.

    Formula: discriminator -log D(x) - log(1 - D(G(z))) + gamma / 2 |grad f(x)|^2; generator -log D(G(z))

    Near the solution the plain loss may circle around it; with the penalty it converges. Gamma depends on the scale of
    the inputs: with inputs c times as large, gamma c^2 is the same penalty. The half is that of the paper, and 10 its
    value; the authors' code has no half, so that its `reg_param: 10` is gamma = 20.

    Parameters
    ----------
    real_gradient_norm : Tensor (N,)
        Norm of the discriminator's gradient at each real sample; not read for the generator.
    gamma : float in [0, inf)
        Weight of the penalty.

    Examples
    --------
    >>> import torch
    >>> zero = torch.zeros(1)
    >>> r1_gan(zero, zero, player="discriminator", real_gradient_norm=zero + 0.5)
    tensor([2.6363])

    """
    plain = non_saturating(fake_scores, real_scores, player=player)
    if player == "generator":
        return plain
    return plain + gamma / 2 * real_gradient_norm.square()


@loss(
    task="gan",
    link=identity,
    source=(
        'Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard GAN", '
        "arXiv:1807.00734"
    ),
)
def relativistic_gan(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Relativistic GAN loss (RSGAN): the discriminator says which of a pair is the real one.

    Formula: discriminator -log sigmoid(f(x) - f(G(z))); generator -log sigmoid(f(G(z)) - f(x))

    A shift of all scores changes nothing, so that the generator can't gain by real samples keeping theirs.

    Parameters
    ----------
    fake_scores, real_scores : Tensor (N,)
        Scores f of generated and of real samples, floating point; position i of both is a pair.

    Examples
    --------
    >>> import torch
    >>> relativistic_gan(torch.tensor([1.0]), torch.tensor([1.0]), player="generator")
    tensor([0.6931])

    """
    advantage = fake_scores - real_scores
    return F.softplus(-advantage if player == "generator" else advantage)


@loss(
    task="gan",
    link=identity,
    source=(
        'Jolicoeur-Martineau 2018, "The relativistic discriminator: a key element missing from standard GAN", '
        "arXiv:1807.00734"
    ),
    coupled=True,
)
def relativistic_average_gan(fake_scores: Tensor, real_scores: Tensor, *, player: str) -> Tensor:
    """Relativistic average GAN loss (RaSGAN): each sample is held against the mean score of the other kind.

    Formula: discriminator -log s(f(x) - E f(G(z))) - log s(E f(x) - f(G(z))), s the sigmoid; generator swapped

    E is the mean over the batch, through which the gradient flows too. Swapped: real and fake change places, so that
    the generator also lowers the scores of real samples. The author's code halves the sum.

    Examples
    --------
    >>> import torch
    >>> relativistic_average_gan(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), player="discriminator")
    tensor([1.0064, 2.0064])

    """
    real_advantage, fake_advantage = real_scores - fake_scores.mean(), fake_scores - real_scores.mean()
    sign = -1.0 if player == "generator" else 1.0
    return F.softplus(-sign * real_advantage) + F.softplus(sign * fake_advantage)

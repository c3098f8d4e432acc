"""Links: how the outputs that a loss trains become probabilities or a point prediction.

A loss declares its link and the metrics use it, so that NLL, Brier score and calibration error are fair to every loss.
A link may ask for parameters of its loss by name, as keyword-only arguments.

Near 0 and 1 probabilities no longer tell apart what outputs do: a link of classes or labels also says, by
`@with_log_odds`, what the log-odds log(p / (1 - p)) of its probabilities are. Metrics of order and likelihoods take
these.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST_LOG_RATE = 20.0

Link = TypeVar("Link", bound=Callable[..., Tensor])


def with_log_odds(log_odds: Callable[..., Tensor]) -> Callable[[Link], Link]:
    """Attach to a link what gives the log-odds of its probabilities, of the same shape, and takes what the link takes.

    A link without it is served by `log_odds_of`, as far as its probabilities tell outputs apart.
    """

    def attach(link: Link) -> Link:
        link.log_odds = log_odds  # type: ignore[attr-defined]
        return link

    return attach


def one_against_rest(logits: Tensor) -> Tensor:
    """Return the log-odds (N, K) of each class in a softmax: its logit less the log-sum-exp of the others.

    It does not saturate: a lead of 50 has log-odds of 50, where the probability is 1 in any precision.

    Examples
    --------
    >>> one_against_rest(torch.tensor([[50.0, 0.0]])).tolist()
    [[50.0, -50.0]]

    """
    log_p = logits.log_softmax(-1)
    top = log_p.argmax(-1, keepdim=True)
    others = log_p.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)
    # All others have at most one half, so that nothing is lost in 1 - p.
    return (log_p - torch.log1p(-log_p.exp())).scatter(-1, top, log_p.gather(-1, top) - others)


def log_odds_of(probabilities: Tensor) -> Tensor:
    """Return the log-odds of probabilities, those of 0 and 1 being finite (-708 and 708 in double precision)."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return probabilities.clamp_min(tiny).log() - (1 - probabilities).clamp_min(tiny).log()


def identity(outputs: Tensor) -> Tensor:
    """Return the outputs (N,) as the point prediction (N,)."""
    return outputs


def exponential(outputs: Tensor) -> Tensor:
    """Turn the logarithm of a rate, (N,), into the rate (N,), which is held below e^20 or 485 million."""
    return outputs.clamp(max=LARGEST_LOG_RATE).exp()


@with_log_odds(lambda outputs: outputs.unsqueeze(-1) * outputs.new_tensor([-1.0, 1.0]))
def sigmoid(outputs: Tensor) -> Tensor:
    """Turn one logit per sample, (N,), into the probabilities of both classes, (N, 2)."""
    return (outputs.unsqueeze(-1) * outputs.new_tensor([-1.0, 1.0])).sigmoid()


@with_log_odds(lambda outputs: outputs)
def sigmoids(outputs: Tensor) -> Tensor:
    """Turn one logit for each label, (N, L), into the probabilities (N, L) of the labels, each by itself."""
    return outputs.sigmoid()


@with_log_odds(one_against_rest)
def softmax(outputs: Tensor) -> Tensor:
    """Turn logits (N, K) into probabilities (N, K)."""
    return outputs.softmax(-1)


@with_log_odds(lambda outputs, *, s: one_against_rest(s * outputs))
def scaled_softmax(outputs: Tensor, *, s: float) -> Tensor:
    """Turn cosines (N, K) in [-1, 1] into probabilities (N, K) at the scale `s` at which the loss trained them."""
    return (s * outputs).softmax(-1)


@with_log_odds(lambda outputs, *, tau: one_against_rest(F.normalize(outputs, dim=-1, eps=1e-7) / tau))
def normalised_softmax(outputs: Tensor, *, tau: float) -> Tensor:
    """Turn logits (N, K) into probabilities (N, K) by their direction alone, at the temperature `tau` of the loss."""
    return (F.normalize(outputs, dim=-1, eps=1e-7) / tau).softmax(-1)


@with_log_odds(lambda outputs: one_against_rest(F.logsigmoid(outputs)))
def normalised_sigmoid(outputs: Tensor) -> Tensor:
    """Turn one logit for each class against the rest, (N, K), into sigmoids divided by their sum, (N, K)."""
    return F.logsigmoid(outputs).softmax(-1)  # by logarithms: also where all sigmoids underflow to 0


@with_log_odds(lambda outputs: one_against_rest(outputs.relu().log1p()))
def dirichlet_mean(outputs: Tensor) -> Tensor:
    """Turn outputs (N, K) into the mean (N, K) of the Dirichlet distribution of parameters 1 + relu(outputs)."""
    alpha = 1 + outputs.relu()
    return alpha / alpha.sum(-1, keepdim=True)


def pixel_means(outputs: Tensor) -> Tensor:
    """Turn outputs of any shape into the means of pixels in [0, 1]."""
    return outputs.sigmoid()


def on_unit_sphere(outputs: Tensor) -> Tensor:
    """Return embeddings (N, D) divided by their length, so that inner products are cosines; one of length 0 stays 0."""
    return F.normalize(outputs, dim=-1)


def predicted_noise(outputs: Tensor) -> Tensor:
    """Return the outputs as the noise in a sample, which is learned on the path of denoising diffusion."""
    return outputs


def predicted_velocity(outputs: Tensor) -> Tensor:
    """Return the outputs as the direction from noise to a sample, which is learned on the straight path."""
    return outputs


def left_depth(outputs: Tensor) -> Tensor:
    """Turn the logarithms of the depths of a left and a right view, (N, H, W, 2), into the left depth (N, H, W)."""
    return exponential(outputs[..., 0])

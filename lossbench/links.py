"""Links: how the outputs that a loss trains become probabilities or a point prediction.

A loss declares its link and the metrics use it, so that NLL, Brier score and calibration error are fair to every loss.
A link may ask for parameters of its loss by name, as keyword-only arguments.
"""

from torch import Tensor
from torch.nn import functional as F

LARGEST_LOG_RATE = 20.0


def identity(outputs: Tensor) -> Tensor:
    """Return the outputs (N,) as the point prediction (N,)."""
    return outputs


def exponential(outputs: Tensor) -> Tensor:
    """Turn the logarithm of a rate, (N,), into the rate (N,), which is held below e^20 or 485 million."""
    return outputs.clamp(max=LARGEST_LOG_RATE).exp()


def sigmoid(outputs: Tensor) -> Tensor:
    """Turn one logit per sample, (N,), into the probabilities of both classes, (N, 2)."""
    return (outputs.unsqueeze(-1) * outputs.new_tensor([-1.0, 1.0])).sigmoid()


def sigmoids(outputs: Tensor) -> Tensor:
    """Turn one logit for each label, (N, L), into the probabilities (N, L) of the labels, each by itself."""
    return outputs.sigmoid()


def softmax(outputs: Tensor) -> Tensor:
    """Turn logits (N, K) into probabilities (N, K)."""
    return outputs.softmax(-1)


def scaled_softmax(outputs: Tensor, *, s: float) -> Tensor:
    """Turn cosines (N, K) in [-1, 1] into probabilities (N, K) at the scale `s` at which the loss trained them."""
    return (s * outputs).softmax(-1)


def normalised_softmax(outputs: Tensor, *, tau: float) -> Tensor:
    """Turn logits (N, K) into probabilities (N, K) by their direction alone, at the temperature `tau` of the loss."""
    return (F.normalize(outputs, dim=-1, eps=1e-7) / tau).softmax(-1)


def normalised_sigmoid(outputs: Tensor) -> Tensor:
    """Turn one logit for each class against the rest, (N, K), into sigmoids divided by their sum, (N, K)."""
    return F.logsigmoid(outputs).softmax(-1)  # by logarithms: also where all sigmoids underflow to 0


def dirichlet_mean(outputs: Tensor) -> Tensor:
    """Turn outputs (N, K) into the mean (N, K) of the Dirichlet distribution of parameters 1 + relu(outputs)."""
    alpha = 1 + outputs.relu()
    return alpha / alpha.sum(-1, keepdim=True)


def pixel_means(outputs: Tensor) -> Tensor:
    """Turn outputs of any shape into the means of pixels in [0, 1]."""
    return outputs.sigmoid()


def predicted_noise(outputs: Tensor) -> Tensor:
    """Return the outputs as the noise in a sample, which is learned on the path of denoising diffusion."""
    return outputs


def predicted_velocity(outputs: Tensor) -> Tensor:
    """Return the outputs as the direction from noise to a sample, which is learned on the straight path."""
    return outputs

"""What is done to the logits of a trained model before they become probabilities: an axis of its own.

It is done at each evaluation anew and touches no training, so that runs that differ in it alone train alike. What does
it asks by name for what it needs: `loss`, whose link says what its outputs are; `validation`, the `outputs` and the
`target` of the validation part; `class_counts`, the training samples of each class. It returns the change of outputs,
and what it has fitted, by name.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lossbench.losses.bound_loss import BoundLoss, asking
from lossbench.losses.class_weights import at_least_one
from lossbench.losses.links import scaled_softmax, sigmoid
from lossbench.methods.temperature import best_temperature
from lossbench.ranges import takes
from lossbench.tasks.problem import Kept, Problem

Parts = Mapping[str, Kept]
Fitted = dict[str, float]
Change = Callable[[Tensor], Tensor]
Posthoc = Callable[..., tuple[Change, Fitted]]


def adjust(posthoc: Posthoc, parts: Parts, loss: BoundLoss, problem: Problem) -> tuple[dict[str, Kept], Fitted]:
    """Adjust the outputs of an evaluation.

    Parameters
    ----------
    posthoc : callable
        What is done to outputs, such as `temperature`.
    parts : mapping
        For each part its outputs, (N, K) or (N,) for one logit of two classes, and its targets.
    loss : BoundLoss
        The loss, whose link says what its outputs are.
    problem : Problem
        What is known of the data.

    Returns
    -------
    parts : dict
        Copies with the adjusted outputs in float64.
    fitted : dict of str to float
        What was fitted on the validation part, by name.

    """
    in_double = {name: {**part, "outputs": part["outputs"].double()} for name, part in parts.items()}
    counts = at_least_one(problem.class_counts or ())
    change, fitted = asking(posthoc)({"loss": loss, "validation": in_double.get("val"), "class_counts": counts})
    return {name: {**part, "outputs": change(part["outputs"])} for name, part in in_double.items()}, fitted


def none() -> tuple[Change, Fitted]:
    """Leave outputs as they are."""
    return lambda outputs: outputs, {}


def temperature(*, loss: BoundLoss, validation: Kept) -> tuple[Change, Fitted]:
    """Divide the logits by the temperature with the largest likelihood of the observed validation targets.

    Formula: z / T, T = argmin mean of -log softmax(z / T)_y over the validation part

    What is predicted stays; NLL, Brier score and calibration error change. The validation part's own likelihood is that
    of the data that T was fitted on. T lies between 1/20 and 20: a small validation part that is predicted without a
    mistake gives 1/20, which is far too sure of itself on the test set; hold out more (data.val_fraction).

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks".

    """
    logits = _per_class(loss, validation["outputs"])
    found = best_temperature(logits.numpy(), validation["target"].numpy())
    return lambda outputs: outputs / found, {"temperature": found}


@takes(tau="number [0, inf)")
def logit_adjustment(*, loss: BoundLoss, class_counts: Sequence[int], tau: float = 1.0) -> tuple[Change, Fitted]:
    """Subtract the logarithms of the training priors: the prediction for classes that are all as frequent.

    Formula: z_c - tau log(n_c / sum_j n_j); for one logit of two classes z - tau log(n_1 / n_0)

    The priors are those of the training set. With weights, or a sampler that draws by class, the model has already
    learned other ones, and this corrects a second time.

    References
    ----------
    Menon et al. 2021, "Long-Tail Learning via Logit Adjustment".

    """
    log_prior = torch.tensor(class_counts, dtype=torch.float64).log()
    log_prior = tau * (log_prior - log_prior.logsumexp(0))
    if loss.declaration.link is sigmoid:
        return lambda outputs: outputs - (log_prior[1] - log_prior[0]), {}
    return lambda outputs: outputs - log_prior / _scale(loss), {}


def _per_class(loss: BoundLoss, outputs: Tensor) -> Tensor:
    """Return logits (N, K) of which a softmax makes the probabilities."""
    if loss.declaration.link is sigmoid:
        return torch.stack([torch.zeros_like(outputs), outputs], dim=-1)
    return _scale(loss) * outputs


def _scale(loss: BoundLoss) -> float:
    """Return by what the link multiplies the outputs before its softmax."""
    return float(loss.settings["s"]) if loss.declaration.link is scaled_softmax else 1.0

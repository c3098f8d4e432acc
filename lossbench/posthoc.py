"""What is done to the logits of a trained model before they become probabilities: an axis of its own.

It is done at each evaluation anew and touches no training, so that runs that differ in it alone train alike.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossbench.intervals import takes
from lossbench.links import scaled_softmax, sigmoid
from lossbench.losses.binding import BoundLoss
from lossbench.temperature import best_temperature
from lossbench.weighting import at_least_one

if TYPE_CHECKING:
    from lossbench.learners.learner import Predictions, Problem

Parts = Mapping[str, "Predictions"]
Fitted = dict[str, float]


@takes(kind="one of: logit_adjustment, none, temperature", tau="number [0, inf)")
def adjust(
    settings: Mapping[str, Any], parts: Parts, loss: BoundLoss, problem: "Problem"
) -> tuple[dict[str, "Predictions"], Fitted]:
    """Adjust the outputs of an evaluation.

    Parameters
    ----------
    settings : mapping
        kind ("none", or a name of `KINDS`) and the parameters of its function.
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
    if settings["kind"] == "none":
        return dict(parts), {}
    parameters = {name: value for name, value in settings.items() if name != "kind"}
    in_double = {name: {**part, "outputs": part["outputs"].double()} for name, part in parts.items()}
    change, fitted = KINDS[settings["kind"]](in_double, loss, problem, **parameters)
    return {name: {**part, "outputs": change(part["outputs"])} for name, part in in_double.items()}, fitted


Change = Callable[[Tensor], Tensor]


def temperature(parts: Parts, loss: BoundLoss, problem: "Problem") -> tuple[Change, Fitted]:
    """Divide the logits by the temperature with the largest likelihood of the observed validation targets.

    Formula: z / T, T = argmin mean of -log softmax(z / T)_y over the validation part

    What is predicted stays; NLL, Brier score and calibration error change. The validation part's own likelihood is that
    of the data that T was fitted on. T lies between 1/20 and 20: a small validation part that is predicted without a
    mistake gives 1/20, which is far too sure of itself on the test set; hold out more (data.val_fraction).

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks".

    """
    validation = parts["val"]
    logits = _per_class(loss, validation["outputs"])
    found = best_temperature(logits.numpy(), validation["target"].numpy())
    return lambda outputs: outputs / found, {"temperature": found}


def logit_adjustment(parts: Parts, loss: BoundLoss, problem: "Problem", *, tau: float = 1.0) -> tuple[Change, Fitted]:
    """Subtract the logarithms of the training priors: the prediction for classes that are all as frequent.

    Formula: z_c - tau log(n_c / sum_j n_j); for one logit of two classes z - tau log(n_1 / n_0)

    The priors are those of the training set. With weights, or a sampler that draws by class, the model has already
    learned other ones, and this corrects a second time.

    References
    ----------
    Menon et al. 2021, "Long-Tail Learning via Logit Adjustment".

    """
    assert problem.class_counts is not None
    log_prior = torch.tensor(at_least_one(problem.class_counts), dtype=torch.float64).log()
    log_prior = tau * (log_prior - log_prior.logsumexp(0))
    if loss.declaration.link is sigmoid:
        return lambda outputs: outputs - (log_prior[1] - log_prior[0]), {}
    return lambda outputs: outputs - log_prior / _scale(loss), {}


KINDS: dict[str, Callable[..., tuple[Change, Fitted]]] = {
    "logit_adjustment": logit_adjustment,
    "temperature": temperature,
}
"""By name, what makes of the parts of an evaluation the change of outputs, and what it fitted."""


def _per_class(loss: BoundLoss, outputs: Tensor) -> Tensor:
    """Return logits (N, K) of which a softmax makes the probabilities."""
    if loss.declaration.link is sigmoid:
        return torch.stack([torch.zeros_like(outputs), outputs], dim=-1)
    return _scale(loss) * outputs


def _scale(loss: BoundLoss) -> float:
    """Return by what the link multiplies the outputs before its softmax."""
    return float(loss.parameters["s"]) if loss.declaration.link is scaled_softmax else 1.0

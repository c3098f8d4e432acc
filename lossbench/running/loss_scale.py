"""`optimizer.calibrate=gradient`: put the losses of a comparison on one scale before training.

A loss 10 times larger is a learning rate 10 times larger under SGD. Here each loss is multiplied by a number, so that
all start with the gradient norm of the plain baseline of their task.
"""

import copy
import math
from typing import Any

import torch

from lossbench.catalogue.binding import load_loss
from lossbench.data.loader import Batch
from lossbench.errors import ConfigError, Diverged
from lossbench.learners import Supervised
from lossbench.methods.weighting import none
from lossbench.ranges import takes
from lossbench.running.build import random_state
from lossbench.seeding import derive_seed
from lossbench.tasks import task_named


@takes(calibrate="one of: gradient, none")
def calibrate(learner: Supervised, data: Any) -> dict[str, Any]:
    """Scale the loss of an untrained learner so that its first gradient has the norm of the baseline's.

    Formula: factor = |grad of the mean baseline| / |grad of what is trained|

    Both norms are taken over all parameters of the network, on the first training batch, which is the same for all
    losses under one seed. What is trained is the loss with its class weights, summed over the batch if it is defined as
    a sum; the baseline is a plain mean. Both are computed on the network of this run. So for a loss with a cosine head
    the baseline is that of a network with a cosine head, and its norm is another one than in the baseline's own run,
    whose head is linear.

    Weights, buffers, memory and random numbers stay as they were. On a run that goes on from a checkpoint, call this
    before the checkpoint is loaded: the factor is then the same again.

    Parameters
    ----------
    learner : Supervised
        The learner before training; its loss is replaced by the scaled one.
    data : LightningDataModule
        Whose training loader gives the batch.

    Returns
    -------
    dict
        factor, own_norm, baseline_norm, baseline: for the record.

    Raises
    ------
    ConfigError
        If a norm is zero or not finite, so that no factor makes them equal.

    """
    baseline = task_named(learner.loss.declaration.task).baseline
    with random_state(derive_seed(learner.seed, "calibration")):
        batch = next(iter(data.train_dataloader()))
    plain = copy.deepcopy(learner)
    plain.loss, plain.weighting = load_loss(baseline), none
    own_norm, baseline_norm = gradient_norm(copy.deepcopy(learner), batch), gradient_norm(plain, batch)
    factor = baseline_norm / own_norm if own_norm > 0 else math.nan
    if not 0 < factor < math.inf:
        raise ConfigError(
            f"optimizer.calibrate=gradient: the first gradient has norm {own_norm:g}, that of {baseline} has "
            f"{baseline_norm:g}, so no factor makes them equal. Use optimizer.calibrate=none."
        )
    learner.loss = learner.loss.but(factor=factor)
    return {"factor": factor, "own_norm": own_norm, "baseline_norm": baseline_norm, "baseline": baseline}


def gradient_norm(learner: Supervised, batch: Batch) -> float:
    """Return the norm of the first gradient of a learner, over all parameters of its network.

    The learner is used up: its buffers and what its loss remembers change as in training.

    Parameters
    ----------
    learner : Supervised
        A learner without a trainer.
    batch : Batch
        Training samples.

    Returns
    -------
    float
        At least 0; nan where the loss is not finite.

    """
    with random_state(0):
        learner.on_train_epoch_start()
        try:
            loss = learner.training_step(batch, 0)
        except Diverged:
            return math.nan
    gradients = torch.autograd.grad(loss, list(learner.network.parameters()), allow_unused=True)
    return math.sqrt(sum(float(each.double().square().sum()) for each in gradients if each is not None))

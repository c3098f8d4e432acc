"""Learning-rate schedules that torch does not have."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lossbench.ranges import takes


@takes(warmup_epochs="int [0, inf)", milestones="list of int [0, inf)", gamma="number (0, inf)")
def warmup_step(optimizer: Optimizer, *, warmup_epochs: int, milestones: list[int], gamma: float) -> LambdaLR:
    """Raise the learning rate linearly over the first epochs, then multiply it by `gamma` at each milestone.

    Formula: lr_t = lr * min(1, (t + 1) / warmup_epochs) * gamma^(number of milestones <= t), t the epoch from 0.

    References
    ----------
    Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss": 5 epochs, x0.01 at
    epochs 160 and 180.

    """

    def factor(epoch: int) -> float:
        warmup = min(1.0, (epoch + 1) / max(1, warmup_epochs))
        return float(warmup * gamma ** sum(epoch >= milestone for milestone in milestones))

    return LambdaLR(optimizer, factor)

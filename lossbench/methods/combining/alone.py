"""What other combinations are held against: each task with a network of its own."""

from typing import ClassVar

from lossbench.methods.combining.combine import plain_sum


class alone(plain_sum):  # noqa: N801  it is called by this name, as are all methods
    """Train a network of its own for each of several tasks, all from the same start and in one run.

    The backbone is copied for each part, so that no parameter is shared and the gradient of each is that of its own
    loss. Optimizers whose steps are each parameter's own, as all of `conf/optimizer` are, train each part as if there
    were no other: the same batches, steps and learning rate. What is compared with it is paired by the seed. The best
    validation epoch is one for all parts, that of the monitor.

    Examples
    --------
    >>> import torch
    >>> alone(terms=["left", "right"])(torch.tensor([1.0, 2.0]))
    tensor(3.)

    """

    own_networks: ClassVar[bool] = True
    """Whether each part has a network of its own."""

"""What each loss costs, forward and backward, beside its nearest peer: torch's, torchvision's or the plain formula.

Prints a table in Markdown: the milliseconds of the loss and, by size, how many times as long as the peer it takes.
Both run in turn in one process on one thread, in an order that is reversed from one repeat to the next. The ratio is
the median of those of the repeats, so that a busy machine slows both. Losses without a peer of their own stand beside
the cross-entropy (binary or of each label, squared error) of the same outputs. A ratio is no more exact than a few
percent.

  python scripts/benchmark_losses.py
  python scripts/benchmark_losses.py --losses bi_tempered,arcface --sizes 128x10 --repeats 30
"""

import argparse
import math
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lossbench.catalogue.binding import bind
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.facts import default_parameters, facts_of, loss_names
from lossbench.locate import locate
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.facts import RUN_CONTEXT

Loss = Callable[[Tensor, Tensor], Tensor]
SERVED = ("binary", "count", "multiclass", "multilabel", "regression")


def _classes(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, reduction="none")


def _one_hot(logits: Tensor, target: Tensor) -> Tensor:
    return F.one_hot(target, logits.shape[1]).to(logits)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    value = _classes(logits, target)
    return (1 - (-value).exp()) ** 2 * value


def _zlpr_of_labels(logits: Tensor, mask: Tensor) -> Tensor:
    positive, negative = -logits - (1 - mask) * 1e12, logits - mask * 1e12
    zero = torch.zeros_like(logits[:, :1])
    return torch.cat([negative, zero], 1).logsumexp(1) + torch.cat([positive, zero], 1).logsumexp(1)


def _zlpr(logits: Tensor, target: Tensor) -> Tensor:
    return _zlpr_of_labels(logits, _one_hot(logits, target))


def _best_other(scores: Tensor, target: Tensor) -> Tensor:
    own = scores.gather(1, target[:, None])
    return (1 + scores.scatter(1, target[:, None], -torch.inf).amax(1, keepdim=True) - own).clamp(min=0).squeeze(1)


def _cosface(cosines: Tensor, target: Tensor) -> Tensor:
    return _classes(64 * (cosines - 0.35 * _one_hot(cosines, target)), target)


def _arcface(cosines: Tensor, target: Tensor) -> Tensor:
    own = cosines.gather(1, target[:, None])
    widened = (own.clamp(-1 + 1e-7, 1 - 1e-7).acos() + 0.5).cos()
    return _classes(64 * cosines.scatter(1, target[:, None], widened), target)


PEERS: dict[str, tuple[str, Loss]] = {
    "arcface": ("plain formula", _arcface),
    "bce": ("torch", lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none")),
    "binary_focal": ("torchvision", sigmoid_focal_loss),
    "brier": ("plain formula", lambda z, t: (z.softmax(1) - _one_hot(z, t)).square().sum(1)),
    "cosface": ("plain formula", _cosface),
    "cross_entropy": ("torch", _classes),
    "focal": ("plain formula", _focal),
    "huber": ("torch", lambda z, t: F.huber_loss(z, t, reduction="none")),
    "hinge": ("plain formula", lambda z, t: (1 - (2 * t - 1) * z).clamp(min=0)),
    "l1": ("torch", lambda z, t: F.l1_loss(z, t, reduction="none")),
    "label_smoothing": ("torch", lambda z, t: F.cross_entropy(z, t, label_smoothing=0.1, reduction="none")),
    "l2": ("torch", lambda z, t: F.mse_loss(z, t, reduction="none")),
    "log_cosh": ("plain formula", lambda z, t: (z - t) + F.softplus(-2 * (z - t)) - math.log(2)),
    "mae": ("torch", lambda z, t: F.l1_loss(z, t, reduction="none")),
    "mae_prob": ("plain formula", lambda z, t: 2 - 2 * z.softmax(1).gather(1, t[:, None]).squeeze(1)),
    "mse": ("torch", lambda z, t: F.mse_loss(z, t, reduction="none")),
    "multiclass_hinge": ("plain formula", _best_other),
    "multilabel_bce": ("torch", lambda z, t: F.multilabel_soft_margin_loss(z, t, reduction="none")),
    "multilabel_focal": ("torchvision", lambda z, t: sigmoid_focal_loss(z, t).mean(1)),
    "multilabel_zlpr": ("plain formula", _zlpr_of_labels),
    "norm_softmax": ("plain formula", lambda z, t: _classes(20 * z, t)),
    "ovr_bce": (
        "torch",
        lambda z, t: F.binary_cross_entropy_with_logits(z, _one_hot(z, t), reduction="none").sum(1),
    ),
    "ovr_focal": ("torchvision", lambda z, t: sigmoid_focal_loss(z, _one_hot(z, t), alpha=-1).sum(1)),
    "poisson_nll": ("torch", lambda z, t: F.poisson_nll_loss(z, t, full=True, reduction="none")),
    "smooth_l1": ("torch", lambda z, t: F.smooth_l1_loss(z, t, reduction="none")),
    "squared_hinge": ("plain formula", lambda z, t: (1 - (2 * t - 1) * z).clamp(min=0).square()),
    "weston_watkins": ("torch", lambda z, t: F.multi_margin_loss(z, t, reduction="none") * z.shape[1]),
    "zlpr": ("plain formula", _zlpr),
}
"""By the name of a loss, where its peer comes from and what it is."""
OF_TASK: dict[str, tuple[str, Loss]] = {
    "binary": ("(bce)", PEERS["bce"][1]),
    "count": ("(mse)", PEERS["mse"][1]),
    "multiclass": ("(cross-entropy)", _classes),
    "multilabel": ("(bce)", PEERS["multilabel_bce"][1]),
    "regression": ("(mse)", PEERS["mse"][1]),
}
"""What stands beside a loss that has no peer."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", default="", help="names, separated by commas; by default all of five tasks")
    parser.add_argument("--sizes", default="128x10,4096x1000", help="samples x classes")
    parser.add_argument("--repeats", type=int, default=7, help="how often each is timed")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [tuple(int(number) for number in size.split("x")) for size in settings.sizes.split(",")]
    print("| loss | peer | " + " | ".join(f"{n} x {k}, ms | ratio" for n, k in sizes) + " |")
    print("|---|---|" + "--:|--:|" * len(sizes))
    for name in [name for name in settings.losses.split(",") if name] or loss_names():
        facts = facts_of(default_parameters(name)["_target_"])
        if facts is None or facts.task not in SERVED:
            continue
        origin, peer = PEERS.get(name, OF_TASK[facts.task])
        cells = []
        for samples, classes in sizes:
            seconds, ratio = _measured(_bound(name, samples, classes), peer, samples, classes, settings.repeats)
            cells.append(f"{1e3 * seconds:.3g} | {ratio:.2f}")
        print(f"| {name} | {origin} | " + " | ".join(cells) + " |", flush=True)


def _bound(name: str, samples: int, classes: int) -> BoundLoss:
    parameters = default_parameters(name)
    factory = locate(parameters.pop("_target_"))
    classes = 2 if factory.declaration.task == "binary" else classes
    context: dict[str, Any] = dict.fromkeys(RUN_CONTEXT - {"bind_terms", "class_counts"}, samples)
    context |= {"num_classes": classes, "max_epochs": 10, "num_features": 4}
    context["class_counts"] = [1 + samples // (2 + k) for k in range(classes)]
    return bind(factory, parameters, context)


def _measured(ours: BoundLoss, theirs: Loss, samples: int, classes: int, repeats: int) -> tuple[float, float]:
    """Return the median seconds of a forward and backward pass, and the median ratio to that of the peer."""
    outputs, target, context = example_batch(ours, 2 if ours.declaration.task == "binary" else classes, samples)
    if ours.declaration.head == "cosine":
        outputs = outputs.tanh()
    context["teacher_logits"] = torch.randn(outputs.shape)
    outputs.requires_grad_()
    both = [lambda: ours(outputs, target, **context), lambda: theirs(outputs, target)]
    at_once = max(1, min(100, 100000 // outputs.numel()))
    times: list[list[float]] = [[], []]
    for repeat in range(-1, repeats):  # the first is for warming up
        for which in (0, 1) if repeat % 2 else (1, 0):
            start = time.thread_time()
            for _ in range(at_once):
                outputs.grad = None
                both[which]().mean().backward()
            if repeat >= 0:
                times[which].append((time.thread_time() - start) / at_once)
    return median(times[0]), median(mine / other for mine, other in zip(*times, strict=True))


if __name__ == "__main__":
    main()

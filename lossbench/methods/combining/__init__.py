"""Several losses at once: how the terms of a loss are combined, by their values or by their gradients.

By value (`by_value`, `by_progress`, `gradnorm`): the terms of a step become one number, whose gradient is descended.
By gradient (`by_gradient`, `impartial`): the gradients of the terms become one gradient. These methods come from
torchjd 0.18 (the extra `[balance]`). Of PCGrad, MGDA, CAGrad, IMTL-G, Nash-MTL, Aligned-MTL, GradDrop, ConFIG, DualProj
and UPGrad it lacks none; what else it has (FairGrad, GradVac, ExcessMTL, SDMGrad, MoDo, PCD, robust means) is left out.

How long the step is depends on the method. What T terms with the same gradient g give is:

- T g: `plain_sum`, `dwa`, `gradnorm`, `pcgrad`, `graddrop`, `conflict_free`; T/2 g: `uncertainty` and its revised form
  at first
- g: `random_weighting`, `cov_weighting`, `famo`, `mgda`, `imtl_g`, `aligned_mtl`, `dualproj`, `upgrad`, and
  `geometric_mean` and `chebyshev`, the latter over the value, where the values are the same too
- (1 + c) g: `cagrad`; a vector of the length `max_norm`, whatever g: `nash_mtl`

An optimizer whose steps don't depend on the length of the gradient, such as Adam, makes no difference of it; with SGD
compare at learning rates tuned for each.
"""

from lossbench.methods.combining.alone import alone
from lossbench.methods.combining.by_gradient import cagrad, dualproj, graddrop, mgda, pcgrad, upgrad
from lossbench.methods.combining.by_progress import cov_weighting, dwa, famo
from lossbench.methods.combining.by_value import (
    chebyshev,
    geometric_mean,
    random_weighting,
    uncertainty,
    uncertainty_revised,
)
from lossbench.methods.combining.combine import ByGradient, Combine, fixed, plain_sum
from lossbench.methods.combining.gradnorm import gradnorm
from lossbench.methods.combining.impartial import aligned_mtl, conflict_free, imtl_g, nash_mtl

__all__ = [
    "ByGradient",
    "Combine",
    "aligned_mtl",
    "alone",
    "cagrad",
    "chebyshev",
    "conflict_free",
    "cov_weighting",
    "dualproj",
    "dwa",
    "famo",
    "fixed",
    "geometric_mean",
    "graddrop",
    "gradnorm",
    "imtl_g",
    "mgda",
    "nash_mtl",
    "pcgrad",
    "plain_sum",
    "random_weighting",
    "uncertainty",
    "uncertainty_revised",
    "upgrad",
]

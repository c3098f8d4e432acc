"""Segmentation from end to end: what each loss makes of a known posterior is what theory says."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from lossbench.running.run import run

BETA = (1.4, 2.2)
A, B = 0.35, 0.75
"""Weights of false positives and negatives, not those of any paper."""


def law_of(loss: str) -> tuple[float, float]:
    """The law of the posterior: uniform for Lovász, whose minimum is p = 1/2 where no region has an IoU above 1/2."""
    return (1.0, 1.0) if loss == "lovasz_softmax" else BETA


def area_of(loss: str) -> float:
    """The share of pixels that a loss predicts as foreground: those whose posterior is above its threshold."""
    first, second = law_of(loss)
    law = stats.beta(first, second)
    mean = law.mean()

    def hit(threshold: float) -> float:  # E x 1[x > threshold], by the law with one more success
        return mean * stats.beta(first + 1, second).sf(threshold)

    weights = {"dice": (0.5, 0.5), "jaccard": (1.0, 1.0), "lovasz_softmax": (1.0, 1.0), "tversky": (A, B)}
    if loss == "pixel_cross_entropy":
        return float(law.sf(0.5))
    a, b = weights[loss]

    def score(threshold: float) -> float:
        true = hit(threshold)
        return true / (true + a * (law.sf(threshold) - true) + b * (mean - true))

    best = minimize_scalar(
        lambda threshold: -score(threshold), bounds=(0, 1), method="bounded", options={"xatol": 1e-9}
    )
    closed = a * -best.fun / (1 + best.fun * (1 - a - b))  # the threshold that the best score implies
    assert best.x == pytest.approx(closed, abs=1e-4)
    return float(law.sf(best.x))


def test_the_areas_of_a_uniform_posterior_are_those_that_are_known():
    golden = (3 - 5**0.5) / 2
    assert 1 - golden == pytest.approx(0.618034, abs=1e-6)
    found = brentq(lambda t: t - (1 - t) * (1 + t) / (2 * (1 - t) + 1), 0.1, 0.9)  # t = D / 2 of x uniform
    assert found == pytest.approx(golden, abs=1e-9)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("loss", ["pixel_cross_entropy", "dice", "jaccard", "tversky", "lovasz_softmax"])
def test_the_area_that_a_loss_predicts_is_that_of_theory(loss, cell):
    overlap = [] if loss == "pixel_cross_entropy" else ["loss.per=batch", "loss.background=false"]
    weights = [f"loss.alpha={A}", f"loss.beta={B}"] if loss == "tversky" else []
    law = law_of(loss)
    lines = ["data=field", f"data.beta=[{law[0]},{law[1]}]", f"loss={loss}", *overlap, *weights]
    lines += ["optimizer.lr=0.01", "trainer.max_epochs=16", "trainer.check_val_every_n_epoch=16", "scheduler=cosine"]
    entry = run(cell(*lines))
    metrics = entry["metrics"]["last"]
    with np.load(cell(*lines).path / "predictions.npz") as test:
        predicted = (test["log_odds"].argmax(-1) == 1).mean()
        truth = (test["target"] == 1).mean()
    assert metrics["test/area_ratio"] == pytest.approx(predicted / truth, rel=1e-4)  # ties of half precision
    # Lovász's value is flat about its minimum: over seeds the area varies by 0.01.
    assert predicted == pytest.approx(area_of(loss), abs=0.025 if loss == "lovasz_softmax" else 0.01)
    calibrated = loss == "pixel_cross_entropy"
    assert metrics["test/ece"] < 0.02 if calibrated else metrics["test/ece"] > 0.1

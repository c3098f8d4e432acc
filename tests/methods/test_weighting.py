"""Class weights against published closed forms, golden numbers and limits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lossbench.locate import CONF
from lossbench.methods import weighting

# The class counts of CIFAR-10-LT with imbalance factor 100, and their weights, computed apart to 4 digits.
COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
GOLDEN = {
    0.9999: [0.0506, 0.0769, 0.1211, 0.1950, 0.3188, 0.5246, 0.8683, 1.4426, 2.4092, 3.9927],
    0.999: [0.1812, 0.1894, 0.2157, 0.2729, 0.3785, 0.5606, 0.8688, 1.3862, 2.2584, 3.6883],
    0.99: [0.7838, 0.7838, 0.7838, 0.7838, 0.7850, 0.8002, 0.8682, 1.0414, 1.3854, 1.9844],
}


@pytest.mark.parametrize("beta", GOLDEN)
def test_effective_number_of_long_tailed_cifar(beta):
    np.testing.assert_allclose(weighting.effective_number(class_counts=COUNTS, beta=beta), GOLDEN[beta], atol=6e-5)


def test_effective_number_golden_weights():
    weights = weighting.effective_number(class_counts=[100, 10, 1], beta=0.9999)
    np.testing.assert_allclose(weights, [0.0271587, 0.2703689, 2.7024724], rtol=2e-6)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999])
def test_effective_number_is_a_geometric_sum(beta):
    effective = np.array([sum(beta**j for j in range(n)) for n in (40, 7, 1)])
    expected = 3 / effective / (1 / effective).sum()
    counts = torch.tensor([40, 7, 1], dtype=torch.float64)
    np.testing.assert_allclose(weighting.effective_number(class_counts=counts, beta=beta), expected, rtol=1e-12)


def test_effective_number_without_beta_is_none():
    weights = weighting.effective_number(class_counts=COUNTS, beta=0.0)
    torch.testing.assert_close(weights, weighting.none(class_counts=COUNTS))


@pytest.mark.parametrize("gap", [1e-9, 1e-12, 1e-15])
def test_effective_number_towards_one_is_inverse(gap):
    weights = weighting.effective_number(class_counts=COUNTS, beta=1 - gap)
    torch.testing.assert_close(weights, weighting.inverse(class_counts=COUNTS), rtol=1e-5, atol=0)


def test_inverse_gives_each_class_the_same_total():
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    totals = counts * weighting.inverse(class_counts=counts)
    torch.testing.assert_close(totals, totals[:1].expand(10))


def test_drw_starts_at_its_epoch():
    started = [
        not torch.equal(weighting.drw(class_counts=[9, 1], epoch=epoch, max_epochs=20, start_epoch=5), torch.ones(2))
        for epoch in range(20)
    ]
    assert started == [epoch >= 5 for epoch in range(20)]
    torch.testing.assert_close(
        weighting.drw(class_counts=COUNTS, beta=0.999, epoch=5, max_epochs=20, start_epoch=5),
        weighting.effective_number(class_counts=COUNTS, beta=0.999),
    )


@pytest.mark.parametrize(("max_epochs", "start"), [(200, 160), (30, 24), (5, 4), (3, 2), (1, 0)])
def test_drw_starts_after_80_percent(max_epochs, start):
    weights = [weighting.drw(class_counts=[9, 1], epoch=e, max_epochs=max_epochs) for e in range(max_epochs)]
    assert [not torch.equal(w, torch.ones(2)) for w in weights] == [e >= start for e in range(max_epochs)]


def test_empty_class_is_an_error_from_the_first_epoch():
    for compute in (weighting.inverse, weighting.effective_number):
        with pytest.raises(ValueError, match=r"\[5.0, 0.0, 2.0\]: no sample in class 1\."):
            compute(class_counts=[5, 0, 2])
    with pytest.raises(ValueError, match="class 0"):
        weighting.drw(class_counts=[0, 3], epoch=0, max_epochs=10)


OF_CLASSES = sorted(path for path in (CONF / "weighting").glob("*.yaml") if path.stem != "lds")


@pytest.mark.parametrize("path", OF_CLASSES, ids=lambda path: path.stem)
def test_yaml_gives_weights_that_sum_to_k(path: Path):
    compute = instantiate(OmegaConf.load(path))
    schedule = {"epoch": 8, "max_epochs": 10} if path.stem == "drw" else {}
    for counts in (COUNTS, torch.tensor(COUNTS), torch.tensor(COUNTS, dtype=torch.float64)):
        weights = compute(class_counts=counts, **schedule)
        expected = torch.float64 if getattr(counts, "dtype", None) == torch.float64 else torch.float32
        assert weights.shape == (10,)
        assert weights.dtype == expected
        assert weights.sum().item() == pytest.approx(10)
        assert (weights > 0).all()

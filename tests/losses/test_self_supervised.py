"""Losses of two views against pytorch-metric-learning, numpy's correlations, torch and closed forms."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pytorch_metric_learning import losses, reducers

from lossbench.catalogue.binding import load_loss
from lossbench.losses.pairs_of_samples import other_view
from lossbench.losses.self_supervised import alignment_uniformity, barlow_twins, byol, sim_siam, vicreg
from tests.support.losses import assert_same_loss, value_and_gradient
from tests.support.sample_pairs import CLASSES, EMBEDDINGS, ODD_VIEWS, VIEWS, assert_like_loops, on_sphere

FIRST, SECOND = zip(*sorted({tuple(sorted((i, int(j)))) for i, j in enumerate(other_view(VIEWS)[0])}), strict=True)
BOTH_ORDERS = list(FIRST + SECOND), list(SECOND + FIRST)
PAIRED = torch.tensor([0, 1, 2, 3, 5, 7, 9, 10])


def mean_of(function, index, **settings):
    return lambda x: function(x, CLASSES, index=index, **settings).mean().unsqueeze(0)


# --- Correlations and covariances ---------------------------------------------------------------------------------


def correlations(x, left, right):
    """The correlations of the dimensions of two lists of rows, by numpy."""
    width = x.shape[1]
    return np.corrcoef(x[left].T, x[right].T)[:width, width:]


def test_barlow_twins_is_that_of_numpys_correlations_with_the_views_in_both_orders():
    def loops(x):
        c = correlations(x, *BOTH_ORDERS)
        value = sum((1 - c[a, b]) ** 2 if a == b else 0.3 * c[a, b] ** 2 for a in range(3) for b in range(3))
        return np.full(len(x), value)

    assert_like_loops(lambda x: barlow_twins(x, CLASSES, index=VIEWS, lambda_=0.3), loops)


def test_rows_without_another_view_take_no_part_in_barlow_twins():
    alone = barlow_twins(EMBEDDINGS[PAIRED], CLASSES[PAIRED], index=ODD_VIEWS[PAIRED])
    values, gradient = value_and_gradient(lambda x: barlow_twins(x, CLASSES, index=ODD_VIEWS), EMBEDDINGS)
    np.testing.assert_allclose(values, np.full(12, alone[0].item()), rtol=1e-12)
    assert (gradient[[4, 6, 8, 11]] == 0).all() and gradient[PAIRED].abs().min() > 0


def test_barlow_twins_of_a_batch_with_itself_is_0_on_the_diagonal():
    x = EMBEDDINGS.repeat(2, 1)
    index = torch.arange(12).repeat(2)
    assert barlow_twins(x, index, index=index, lambda_=0.0).abs().max() < 1e-25
    c = np.corrcoef(EMBEDDINGS.T)
    expected = 5e-3 * ((c**2).sum() - 3)
    np.testing.assert_allclose(barlow_twins(x, index, index=index), np.full(24, expected), rtol=1e-12)


def test_monais_barlow_twins_mixes_two_standardisations():
    """With the unbiased deviation and a division by N a batch with itself has C_aa = (N - 1) / N."""
    monai = pytest.importorskip("monai.losses")
    theirs = monai.BarlowTwinsLoss(lambd=0.0)(EMBEDDINGS, EMBEDDINGS).item()
    assert theirs == pytest.approx(3 * (1 / 12) ** 2, rel=1e-4)  # 0.0208, ours 0


def test_collapsed_barlow_twins_is_the_number_of_dimensions():
    values, gradient = value_and_gradient(
        lambda x: barlow_twins(x, CLASSES, index=VIEWS), torch.full((12, 3), 0.7, dtype=torch.float64)
    )
    np.testing.assert_allclose(values, np.full(12, 3.0), rtol=1e-12)
    assert gradient.isfinite().all()


def test_vicreg_is_that_of_pytorch_metric_learning_with_the_views_in_both_orders():
    view, _ = other_view(VIEWS)
    criterion = losses.VICRegLoss(invariance_lambda=20, variance_mu=10, covariance_v=3, reducer=reducers.MeanReducer())
    assert_same_loss(
        mean_of(vicreg, VIEWS, invariance=20.0, variance=10.0, covariance=3.0),
        lambda x: criterion(x, ref_emb=x[view]).unsqueeze(0),
        0.7 * EMBEDDINGS,
    )


def test_vicreg_by_numpys_covariance_counts_every_row():
    partner = {0: 3, 3: 0, 1: 7, 7: 1, 2: 5, 5: 2, 9: 10, 10: 9}

    def loops(x):
        c = np.cov(x.T)
        spread = sum(max(0, 1 - np.sqrt(c[a, a] + 1e-4)) for a in range(3)) / 3
        redundant = sum(c[a, b] ** 2 for a in range(3) for b in range(3) if a != b) / 3
        unlike = [np.mean((x[i] - x[partner[i]]) ** 2) if i in partner else 0 for i in range(12)]
        return 25 * np.array(unlike) + 25 * spread + 2 * redundant

    assert_like_loops(lambda x: vicreg(x, CLASSES, index=ODD_VIEWS), loops, 0.7 * EMBEDDINGS)


def test_vicreg_of_constants_is_the_hinge_of_the_variance():
    values = vicreg(torch.full((12, 3), 4.0).double(), CLASSES, index=VIEWS)
    np.testing.assert_allclose(values, np.full(12, 25 * (1 - math.sqrt(1e-4))), rtol=1e-12)


# --- Predictors ---------------------------------------------------------------------------------------------------


def test_sim_siam_is_the_paper_s_sum_of_two_negative_cosines():
    criterion = sim_siam(num_features=3).double()

    def paper(x):
        z1, z2 = x[list(FIRST)], x[list(SECOND)]
        h = criterion.predictor
        cosines = F.cosine_similarity(h(z1), z2.detach()) / 2 + F.cosine_similarity(h(z2), z1.detach()) / 2
        return -cosines.mean().unsqueeze(0)

    assert_same_loss(mean_of(criterion, VIEWS), paper, EMBEDDINGS)


def test_byol_is_half_of_the_paper_s_sum_of_two_squared_distances():
    criterion = byol(num_features=3).double()
    slow = EMBEDDINGS.roll(1, 0)

    def paper(x):
        first, second = (
            F.mse_loss(F.normalize(criterion.predictor(x[list(own)])), F.normalize(slow[list(other)]), reduction="sum")
            for own, other in ((FIRST, SECOND), (SECOND, FIRST))
        )
        return ((first + second) / len(FIRST) / 2).unsqueeze(0)

    assert_same_loss(mean_of(criterion, VIEWS, momentum_embeddings=slow), paper, EMBEDDINGS)


@pytest.mark.parametrize(("made", "hidden"), [(sim_siam, 16), (byol, 256)])
def test_predictors_have_their_widths_and_learn(made, hidden):
    torch.manual_seed(0)
    criterion = made(num_features=64)
    assert [tuple(each.shape) for each in criterion.parameters()] == [(hidden, 64), (hidden,), (64, hidden), (64,)]
    x = torch.randn(12, 64)
    context = {} if made is sim_siam else {"momentum_embeddings": x.flip(0)}
    criterion(x, CLASSES, index=VIEWS, **context).mean().backward()
    assert all(each.grad.abs().sum() > 0 for each in criterion.parameters())


@pytest.mark.parametrize("made", [sim_siam, byol])
def test_a_row_without_another_view_has_the_value_0(made):
    criterion = made(num_features=3).double()
    context = {} if made is sim_siam else {"momentum_embeddings": EMBEDDINGS}
    values = criterion(EMBEDDINGS, CLASSES, index=ODD_VIEWS, **context)
    assert (values[[4, 6, 8, 11]] == 0).all() and (values[PAIRED] != 0).all()


# --- Alignment and uniformity -------------------------------------------------------------------------------------


def test_alignment_and_uniformity_by_loops():
    partner = {0: 3, 3: 0, 1: 7, 7: 1, 2: 5, 5: 2, 9: 10, 10: 9}

    def loops(x):
        z = on_sphere(x)
        apart = [sum((z[j] - z[k]) ** 2) for j in range(12) for k in range(12) if ODD_VIEWS[j] != ODD_VIEWS[k]]
        uniformity = np.log(np.mean(np.exp(-3 * np.array(apart))))
        return np.array([sum((z[i] - z[partner.get(i, i)]) ** 2) + 0.4 * uniformity for i in range(12)])

    assert_like_loops(lambda x: alignment_uniformity(x, CLASSES, index=ODD_VIEWS, weight=0.4, t=3.0), loops)


def test_uniformity_of_single_views_is_the_formula_of_the_authors():
    """Mean over the pairs of `torch.pdist`."""
    assert_same_loss(
        mean_of(alignment_uniformity, torch.arange(12)),
        lambda x: torch.pdist(F.normalize(x)).square().mul(-2).exp().mean().log().unsqueeze(0),
        EMBEDDINGS,
    )


def test_alignment_of_equal_views_and_uniformity_of_one_point_are_0():
    equal = EMBEDDINGS[torch.searchsorted(VIEWS.unique(), VIEWS)]
    assert alignment_uniformity(equal, CLASSES, index=VIEWS, weight=0.0).abs().max() < 1e-15
    assert alignment_uniformity(torch.ones(12, 3).double(), CLASSES, index=VIEWS).abs().max() < 1e-15
    assert alignment_uniformity(EMBEDDINGS, CLASSES, index=torch.zeros(12), weight=5.0).min() >= 0  # one image


def test_a_loss_of_two_views_says_what_it_lacks():
    criterion = load_loss("nt_xent")
    with pytest.raises(ValueError, match="nt_xent asks for index= beside outputs and target"):
        criterion(torch.randn(4, 3), torch.zeros(4))

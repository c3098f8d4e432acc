"""What all losses of embeddings with parameters of their own keep: finite at a collapse, gradients of parameters."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from lossbench.losses.directions import cosines, random_directions, unit
from lossbench.losses.facts import declared_losses
from tests.support.embeddings import CLASSES, EMBEDDINGS, NUM_CLASSES, WIDTH, made
from tests.support.losses import subject_of

FAMILIES = {"embedding_margin", "embedding_moving", "embedding_proxies"}
LOSSES = [name for name, facts in declared_losses().items() if facts.family in FAMILIES]
COLLAPSED = {
    "all 0": (0 * EMBEDDINGS, CLASSES),
    "all equal": (EMBEDDINGS[:1].expand(40, -1), CLASSES),
    "one class": (EMBEDDINGS, 0 * CLASSES),
    "one class, all 0": (0 * EMBEDDINGS, 0 * CLASSES),
    "one sample": (EMBEDDINGS[:1], CLASSES[:1]),
    "one sample, 0": (0 * EMBEDDINGS[:1], CLASSES[:1]),
    "large": (1e4 * EMBEDDINGS.sign(), CLASSES),
    "tiny": (1e-30 * EMBEDDINGS, CLASSES),
}


def module_of(name, dtype=torch.float64, **changes):
    subject = subject_of(name)
    return made(subject.factory, **{**subject.parameters, **changes}).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_stays_finite_with_collapsed_embeddings(name, dtype):
    for case, (given, target) in COLLAPSED.items():
        module, embeddings = module_of(name, dtype), given.to(dtype).clone().requires_grad_()
        values = module(embeddings, target)
        values.float().mean().backward()
        found = [values, embeddings.grad, *(each.grad for each in module.parameters())]
        assert all(each.isfinite().all() for each in found), case
        assert all(each.isfinite().all() for each in module.buffers()), case
        assert embeddings.grad.abs().max() < 1e6, case


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"embedding_softmax", "center_loss"}))
def test_stays_finite_at_and_against_a_direction(name):
    """Where the slope of the angle is infinite: cosines of 1 and -1."""
    module = module_of(name, torch.float32)
    rows = module.weight.detach().flatten(0, -2)[:: module.weight[0].numel() // WIDTH]
    embeddings = torch.cat([rows, -rows, 3 * rows]).requires_grad_()
    module(embeddings, torch.arange(NUM_CLASSES).repeat(3)).mean().backward()
    assert embeddings.grad.isfinite().all() and module.weight.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_parameters_have_the_gradient_of_the_value(name):
    module = module_of(name).eval()  # what moves with the batches is held
    names, free = zip(*module.named_parameters(), strict=True)
    embeddings, target = EMBEDDINGS[:6], CLASSES[:6]

    def of_parameters(*values):
        return functional_call(module, dict(zip(names, values, strict=True)), (embeddings, target))

    assert torch.autograd.gradcheck(of_parameters, tuple(each.detach().clone().requires_grad_() for each in free))


@pytest.mark.parametrize("name", LOSSES)
def test_a_few_steps_lower_the_loss(name):
    """Embeddings and what the loss has of its own, trained together; ten centres would be more than samples."""
    module = module_of(name, num_features=16, **({"centers": 2} if name == "soft_triple" else {}))
    free = torch.randn(40, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([free, *module.parameters()], lr=0.1)
    first = module(free, CLASSES).mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        module(free, CLASSES).mean().backward()
        optimizer.step()
    assert module(free, CLASSES).mean().item() < first - 0.1
    nearest = (F.normalize(free) @ F.normalize(free).T).fill_diagonal_(-2).argmax(1)
    assert (CLASSES[nearest] == CLASSES).double().mean() > 0.9


@pytest.mark.parametrize("name", LOSSES)
def test_targets_of_eight_bits_are_indices_and_no_mask(name):
    values = module_of(name)(EMBEDDINGS, CLASSES)
    torch.testing.assert_close(module_of(name)(EMBEDDINGS, CLASSES.to(torch.uint8)), values)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_no_class_index_is_refused(name):
    with pytest.raises(ValueError, match=r"torch\.float64"):
        module_of(name)(EMBEDDINGS, CLASSES.double())


# --- Directions ---------------------------------------------------------------------------------------------------


def test_directions_are_uniform_and_of_length_about_1():
    drawn = made(lambda num_classes, num_features: torch.nn.ParameterList([random_directions(4000, 16)]))[0].detach()
    assert drawn.norm(dim=1).mean().item() == pytest.approx(1, abs=0.03)
    assert F.normalize(drawn).mean(0).norm() < 0.05


def test_unit_is_torchs_normalize_but_for_its_slope_at_0():
    expected = F.normalize(EMBEDDINGS)
    torch.testing.assert_close(unit(EMBEDDINGS), expected)
    for function, slope in ((unit, 1.0), (F.normalize, 1e12)):
        zero = torch.zeros(1, 3, requires_grad=True)
        function(zero).sum().backward()
        assert zero.grad.tolist() == [pytest.approx([slope] * 3)]


def test_cosines_are_torchs():
    weight = made(lambda **_: torch.nn.ParameterList([random_directions(4, 2, WIDTH)]))[0].detach()
    expected = F.cosine_similarity(EMBEDDINGS[:, None, None], weight, dim=-1)
    torch.testing.assert_close(cosines(EMBEDDINGS, weight), expected)


def test_cosines_are_in_full_precision_in_mixed_precision_too():
    embeddings, weight = EMBEDDINGS.float(), EMBEDDINGS[:5].float() + 0.1
    with torch.autocast("cpu", torch.bfloat16):
        mixed, rounded = cosines(embeddings, weight), unit(embeddings) @ unit(weight).T
    assert rounded.dtype == torch.bfloat16  # what it would be
    assert torch.equal(mixed, cosines(embeddings, weight))

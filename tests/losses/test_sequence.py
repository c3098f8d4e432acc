"""CTC and its variants against all paths, closed forms, torch's own reductions and limits."""

import math

import pytest
import torch
from torch.nn import functional as F

from lossbench.losses import ctc, ctc_confidence_penalty, ctc_entropy, focal_ctc, framewise_cross_entropy
from tests.support.losses import all_paths

FRAMES, CLASSES = 5, 2  # and the blank: 243 paths
TARGETS = [(), (0,), (1, 0), (0, 0), (1, 1, 0)]


def lines(seed=0, frames=FRAMES, classes=CLASSES, targets=TARGETS, scale=2.0):
    """Logits in float64, padded targets, and the lengths that the losses ask for; the last line is a frame shorter."""
    logits = scale * torch.randn(
        len(targets), frames, classes + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    target = torch.tensor([[*line, *[-1] * (4 - len(line))] for line in targets])
    frames_of = torch.full((len(targets),), frames)
    frames_of[-1] -= 1
    return logits.requires_grad_(), target, {"input_lengths": frames_of, "target_lengths": (target >= 0).sum(1)}


def over_all_paths(logits, target, lengths, of_paths):
    values = []
    for line, labels in enumerate(target):
        known = tuple(labels[: lengths["target_lengths"][line]].tolist())
        values.append(of_paths(all_paths(logits[line, : lengths["input_lengths"][line]])[known]))
    return torch.stack(values)


def entropy_of(paths):
    share = paths.softmax(0)
    return -(share * share.log()).sum()


OF_PATHS = {
    "ctc": (ctc, {}, lambda paths: -paths.logsumexp(0)),
    "focal_ctc": (
        focal_ctc,
        {"alpha": 0.3, "gamma": 1.7},
        lambda paths: -0.3 * (1 - paths.exp().sum()) ** 1.7 * paths.exp().sum().log(),
    ),
    "ctc_entropy": (ctc_entropy, {"beta": 0.4}, lambda paths: -paths.logsumexp(0) - 0.4 * entropy_of(paths)),
}


@pytest.mark.parametrize("name", OF_PATHS)
def test_value_and_gradient_are_those_of_the_sum_over_all_paths(name):
    loss, parameters, of_paths = OF_PATHS[name]
    logits, target, lengths = lines()
    value, expected = loss(logits, target, **lengths, **parameters), over_all_paths(logits, target, lengths, of_paths)
    torch.testing.assert_close(value, expected)
    for ours, theirs in zip(
        torch.autograd.grad(value.sum(), logits), torch.autograd.grad(expected.sum(), logits), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("target", "repeats"), [((0, 1, 2), 0), ((3, 3, 0), 1), ((2, 2, 2), 2), ((), 0)])
def test_uniform_posteriors_count_the_paths(target, repeats):
    frames, outputs = 9, 5
    logits = torch.zeros(1, frames, outputs, dtype=torch.float64)
    padded = torch.tensor([[*target, *[-1] * (4 - len(target))]])
    lengths = {"input_lengths": torch.tensor([frames]), "target_lengths": torch.tensor([len(target)])}
    paths = math.comb(frames + len(target) - repeats, 2 * len(target))
    likelihood = frames * math.log(outputs) - math.log(paths)
    assert ctc(logits, padded, **lengths).item() == pytest.approx(likelihood)
    assert ctc_entropy(logits, padded, **lengths, beta=1).item() == pytest.approx(likelihood - math.log(paths))
    free = frames * math.log(outputs)
    assert ctc_confidence_penalty(logits, padded, **lengths, beta=1).item() == pytest.approx(likelihood - free)


@pytest.mark.parametrize(
    ("loss", "parameters", "factor"),
    [
        (focal_ctc, {"alpha": 0.7, "gamma": 0.0}, 0.7),
        (ctc_entropy, {"beta": 0.0}, 1.0),
        (ctc_confidence_penalty, {"beta": 0.0}, 1.0),
    ],
)
def test_limits_that_are_ctc(loss, parameters, factor):
    logits, target, lengths = lines(seed=1)
    value, plain = loss(logits, target, **lengths, **parameters), factor * ctc(logits, target, **lengths)
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(*(torch.autograd.grad(each.sum(), logits)[0] for each in (value, plain)))


def test_the_penalty_is_the_entropy_that_torch_has_for_the_frames():
    logits, target, lengths = lines(seed=2)
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    entropy = torch.stack([each[:frames].sum() for each, frames in zip(entropy, lengths["input_lengths"], strict=True)])
    value = ctc_confidence_penalty(logits, target, **lengths, beta=0.3)
    expected = ctc(logits, target, **lengths) - 0.3 * entropy
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(each.sum(), logits)[0] for each in (value, expected)))


def test_divided_by_length_the_mean_is_that_of_torch():
    logits, target, lengths = lines(targets=TARGETS[1:])
    arguments = (logits.log_softmax(-1).transpose(0, 1), target.clamp_min(0), *lengths.values())
    expected = F.ctc_loss(*arguments, blank=CLASSES, reduction="mean")
    divided = ctc(logits, target, **lengths, divide_by_length=True)
    torch.testing.assert_close(divided.mean(), expected)
    assert not torch.isclose(ctc(logits, target, **lengths).mean(), expected)


@pytest.mark.parametrize("loss", [ctc, focal_ctc, ctc_entropy, ctc_confidence_penalty])
def test_an_impossible_line_is_infinite_or_counts_nothing(loss):
    """Three equal classes need five frames: four do not do."""
    logits, target, lengths = lines(targets=[(0, 1), (0, 0, 0)])
    assert loss(logits, target, **lengths).isinf().tolist() == [False, True]
    value = loss(logits, target, **lengths, zero_infinity=True)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient[0].abs().sum() > 0 and gradient.isfinite().all()
    if loss is ctc_confidence_penalty:  # its entropy stays
        value = value + 0.1 * torch.distributions.Categorical(logits=logits[:, :4]).entropy().sum(1)
    else:
        assert gradient[1].abs().sum() == 0
    assert value[1].item() == pytest.approx(0.0, abs=1e-12)


def test_the_known_alignment_is_one_of_the_paths():
    logits, target, lengths = lines(targets=[(0, 0), (1, 0)])
    alignment = torch.tensor([[0, 2, 2, 0, 0], [1, 1, 0, 2, -1]])
    value = framewise_cross_entropy(logits, target, alignment=alignment)
    expected = [F.cross_entropy(logits[0], alignment[0], reduction="sum")]
    expected += [F.cross_entropy(logits[1, :4], alignment[1, :4], reduction="sum")]
    torch.testing.assert_close(value, torch.stack(expected))
    torch.testing.assert_close(
        *(torch.autograd.grad(each, logits)[0] for each in (value.sum(), torch.stack(expected).sum()))
    )
    assert (value > ctc(logits, target, **lengths)).all()


@pytest.mark.parametrize("loss", [ctc, focal_ctc, ctc_entropy, ctc_confidence_penalty])
def test_what_comes_after_the_end_is_not_read(loss):
    logits, target, lengths = lines(seed=3)
    changed, other = logits.detach().clone(), target.clone()
    changed[-1, FRAMES - 1] = torch.tensor([50.0, -50.0, 7.0])
    other[target == -1] = 1
    torch.testing.assert_close(loss(changed, other, **lengths), loss(logits.detach(), target, **lengths))

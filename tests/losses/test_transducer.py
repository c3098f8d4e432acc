"""The transducer against all paths, the closed form of uniform steps, and autograd through a table."""

import math
from itertools import combinations

import pytest
import torch

from lossbench.losses import rnn_transducer
from tests.support.losses import assert_same_loss, value_and_gradient

TARGET = torch.tensor([[1, 0, 0], [2, -1, -1], [-1, -1, -1], [1, 2, -1]])
LENGTHS = {"input_lengths": torch.tensor([4, 3, 4, 1]), "target_lengths": torch.tensor([3, 1, 0, 2])}


def logits(seed=0, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(4, 4, 4, 4, dtype=torch.float64, generator=generator)  # three classes and the blank


def paths(frames, classes):
    """Yield which of all steps but the last, a blank, read a class."""
    yield from combinations(range(frames + classes - 1), classes)


def over_all_paths(outputs):
    """Sum over the paths of each line, each followed step by step."""
    values = []
    for line, log_p in enumerate(outputs.log_softmax(-1)):
        frames, classes = (int(LENGTHS[name][line]) for name in ("input_lengths", "target_lengths"))
        likelihoods = []
        for reads in paths(frames, classes):
            t = u = 0
            total = 0.0
            for step in range(frames + classes):
                if step in reads:
                    total, u = total + log_p[t, u, TARGET[line, u]], u + 1
                else:
                    total, t = total + log_p[t, u, -1], t + 1
            assert (t, u) == (frames, classes)
            likelihoods.append(total)
        values.append(-torch.stack(likelihoods).logsumexp(0))
    return torch.stack(values)


def test_value_and_gradient_are_those_of_the_sum_over_all_paths():
    assert_same_loss(lambda z: rnn_transducer(z, TARGET, **LENGTHS), over_all_paths, logits())


@pytest.mark.parametrize(("frames", "classes", "outputs"), [(5, 3, 4), (1, 2, 3), (7, 0, 2), (12, 6, 11), (32, 6, 11)])
def test_uniform_steps_count_the_paths(frames, classes, outputs):
    """The last step is a blank: C(T + U - 1, U) paths, not C(T + U, U)."""
    value = rnn_transducer(
        torch.zeros(1, frames, classes + 1, outputs, dtype=torch.float64),
        torch.arange(classes).unsqueeze(0) % (outputs - 1),
        input_lengths=torch.tensor([frames]),
        target_lengths=torch.tensor([classes]),
    )
    if frames < 12:
        assert len(list(paths(frames, classes))) == math.comb(frames + classes - 1, classes)
    expected = (frames + classes) * math.log(outputs) - math.log(math.comb(frames + classes - 1, classes))
    assert value.item() == pytest.approx(expected)


def test_all_lines_of_a_length_have_a_probability_of_1_together():
    """Of lines of two frames over two classes; what is read can be of any length, so the rest is in longer ones."""
    generator = torch.Generator().manual_seed(0)
    log_p = torch.randn(2, 3, dtype=torch.float64, generator=generator).log_softmax(-1)  # not of what was read
    total = 0.0
    for classes in range(4):
        steps = log_p.view(1, 2, 1, 3).expand(1, 2, classes + 1, 3)
        for number in range(2**classes):
            target = torch.tensor([[number >> place & 1 for place in range(classes)]], dtype=torch.int64)
            lengths = {"input_lengths": torch.tensor([2]), "target_lengths": torch.tensor([classes])}
            total += rnn_transducer(steps, target.view(1, classes), **lengths).neg().exp().item()
    wait = log_p[:, 2].exp()
    reads = 1 - wait
    expected = sum(
        wait.prod() * reads[0] ** first * reads[1] ** second for first in range(4) for second in range(4 - first)
    )
    assert total == pytest.approx(float(expected))


def test_what_comes_after_the_end_is_not_read():
    outputs, other = logits(1), TARGET.clone()
    other[TARGET < 0] = 1
    expected, gradient = value_and_gradient(lambda z: rnn_transducer(z, TARGET, **LENGTHS), outputs)
    after = gradient == 0
    assert after[1, 3:].all() and after[1, :, 2:].all() and after[3, 1:].all() and not after[0].all()
    changed = torch.where(after.all(-1, keepdim=True), 1e4, outputs)
    torch.testing.assert_close(rnn_transducer(changed, other, **LENGTHS), expected)


def test_a_sure_path_costs_nothing():
    """Both classes in the first frame, then blanks."""
    outputs = torch.full((1, 3, 3, 3), 0.0, dtype=torch.float64)
    for (t, u), step in {(0, 0): 1, (0, 1): 0, (0, 2): 2, (1, 2): 2, (2, 2): 2}.items():
        outputs[0, t, u, step] = 1e4
    lengths = {"input_lengths": torch.tensor([3]), "target_lengths": torch.tensor([2])}
    value, gradient = value_and_gradient(lambda z: rnn_transducer(z, torch.tensor([[1, 0]]), **lengths), outputs)
    assert value.item() == 0 and gradient.abs().max() == 0


def test_a_place_more_than_classes():
    with pytest.raises(ValueError, match=r"Give logits \(N, T, 4, V\)"):
        rnn_transducer(logits()[:, :, :3], TARGET, **LENGTHS)

"""Lines that are read by a transducer: the network, the greedy reading, runs and their pictures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.errors import ConfigError
from lossbench.losses import rnn_transducer
from lossbench.models.transducer import Transducer
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.problem import made_up_problem
from lossbench.tasks.sequence.by_sample import edits
from lossbench.tasks.sequence.metrics import sequence_metrics
from lossbench.tasks.transduction.report import readings

SMALL = ["data=digit_lines", "loss=rnn_transducer", "data.max_train=300", "data.max_test=100"]


def network(seed=0):
    torch.manual_seed(seed)
    return Transducer([1, 8, 64], 10, channels=(4,), hidden=8, joint=16).eval()


def test_the_greedy_reading_is_that_of_one_line_after_the_other():
    """A step is the likeliest one by the logits of the whole lattice, of a target that is what was read so far."""
    model, lines = network(), torch.randn(5, 1, 8, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.outputs.bias[10] += 0.15  # some blanks, some classes
    lengths = torch.tensor([32, 20, 32, 1, 7])
    found = model.read(lines, lengths)
    assert found.shape == (5, 32) and (found >= 0).any(1).sum() > 1
    for line, frames in enumerate(lengths.tolist()):
        t, read = 0, []
        while t < frames and len(read) < frames:
            target = torch.tensor([read], dtype=torch.int64).view(1, -1)
            best = int(model(lines[line : line + 1], target)[0, t, len(read)].argmax())
            t, read = (t + 1, read) if best == 10 else (t, [*read, best])
        assert found[line].tolist() == read + [-1] * (32 - len(read))


def test_logits_of_a_place_know_only_what_was_read_before():
    model, lines = network(), torch.randn(2, 1, 8, 64, generator=torch.Generator().manual_seed(2))
    first = model(lines, torch.tensor([[1, 2, 3], [4, -1, -1]]))
    other = model(lines, torch.tensor([[1, 2, 7], [4, 5, -1]]))
    assert first.shape == (2, 32, 4, 11)
    assert torch.equal(first[0, :, :3], other[0, :, :3]) and torch.equal(first[1, :, :2], other[1, :, :2])
    assert not torch.equal(first[0, :, 3], other[0, :, 3])


def test_metrics_are_those_of_lines_that_are_read_by_frames():
    generator = torch.Generator().manual_seed(0)
    target, decoded = (torch.randint(0, 4, (30, 5), generator=generator) for _ in range(2))
    for lines in (target, decoded):
        lines[torch.arange(5) >= torch.randint(1, 6, (30, 1), generator=generator)] = -1
    decoded[:6] = target[:6]
    ones = torch.ones(30, dtype=torch.float64)
    predictions = {"decoded": decoded, "decoded_beam": decoded, "target": target, "nll": ones}
    task = task_named("transduction")
    found = task.evaluate.measure("test", predictions, made_up_problem(task))
    expected = sequence_metrics({**predictions, "blank_share": ones, "frame_accuracy": ones})
    assert found == pytest.approx({name: expected[name] for name in found}) and set(found) == set(task.named)


def test_what_a_run_leaves(cell, tmp_path):
    made = cell(*SMALL, "trainer.max_epochs=1")
    entry = run(made)
    assert entry["status"] == "finished" and (entry["learner"], entry["monitor"]) == ("transducer", "cer")
    assert {"predictions.npz", "readings.png"} <= {path.name for path in made.path.iterdir()}
    with np.load(made.path / "predictions.npz") as test:
        assert len(test["decoded"]) == 100 and test["images"].shape == (6, 8, 64)
        assert test["nll"].mean() == pytest.approx(entry["metrics"]["last"]["test/nll"], rel=1e-5)
    (comparison,) = comparisons(read_outputs(tmp_path))
    (drawn,) = readings(analyse(comparison, Options()))
    assert len(drawn.figure.axes) == 6
    plt.close("all")


def bars(number, generator):
    """Lines of one to three of four classes, each a bar at a height of its own."""
    target = torch.randint(4, (number, 3), generator=generator)
    target[torch.arange(3) >= torch.randint(1, 4, (number, 1), generator=generator)] = -1
    lines = torch.zeros(number, 1, 8, 24)
    rows, places = (target >= 0).nonzero(as_tuple=True)
    for column in (2, 3):
        lines[rows, 0, 2 * target[rows, places], 8 * places + column] = 1.0
    return lines, target


def test_it_learns_to_read():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = Transducer([1, 8, 24], 4, channels=(16,), hidden=32, joint=32)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(160):
        lines, target = bars(32, generator)
        lengths = {"input_lengths": torch.full((32,), 12), "target_lengths": (target >= 0).sum(1)}
        optimizer.zero_grad()
        rnn_transducer(model(lines, target), target, **lengths).mean().backward()
        optimizer.step()
    lines, target = bars(200, generator)
    wrong = edits(model.read(lines, torch.full((200,), 12)).numpy(), target.numpy())
    assert (wrong == 0).mean() > 0.6


def test_another_network_is_refused(cell):
    with pytest.raises(ConfigError, match="Use learner/network=transducer"):
        run(cell(*SMALL, "learner/network=line_reader", "trainer.max_epochs=1"))

"""Lines of digits: the data, the learner that reads them, its records and its mistakes."""

import numpy as np
import pytest
import torch

from lossbench.catalogue.facts import losses_for
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, load_arrays, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.data import DataModule
from lossbench.data.sources.source import load_source
from lossbench.errors import ConfigError
from lossbench.learners.ctc import lengths, of_frames
from lossbench.models.line_reader import LineReader
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.sequence.decoding import collapse
from lossbench.tasks.sequence.metrics import sequence_metrics
from lossbench.tasks.sequence.report import blank_share, posteriors

LOSSES = losses_for("sequence")
SMALL = ["data=digit_lines", "data.max_train=300", "data.max_test=100"]
FRAMES = {"digit_lines": 32, "mnist_lines": 56}


def check_lines(name, root):
    source = load_source(name, root, 0)
    for target, alignment in (
        (source.train_target, source.train_target_clean),
        (source.test_target, source.test_target_clean),
    ):
        frames = of_frames(alignment, FRAMES[name])
        seen = collapse(frames, blank=10)
        assert torch.equal(seen, target[:, : seen.shape[1]]) and seen.shape[1] == 6
        assert set(lengths(target).tolist()) == set(range(1, 7))
        repeats = ((target[:, 1:] == target[:, :-1]) & (target[:, 1:] >= 0)).sum(1)
        assert (repeats > 0).float().mean() > 0.4
        assert (lengths(frames) >= lengths(target) + repeats).all()
    network = LineReader(source.train_inputs.shape[1:], 10)
    assert network(source.test_inputs[:2].float()).shape == (2, FRAMES[name], 11)


def test_what_is_seen_in_the_columns_collapses_to_the_target(tmp_path):
    check_lines("digit_lines", tmp_path)


@pytest.mark.real_data
def test_lines_of_mnist(real_data_root):
    check_lines("mnist_lines", real_data_root)


def test_lines_are_made_of_the_images_of_their_part(tmp_path):
    source, single = load_source("digit_lines", tmp_path, 0), load_source("digits", tmp_path, 0)
    parts = {"train": (single.train_inputs, single.train_target), "test": (single.test_inputs, single.test_target)}
    for part, (images, labels) in parts.items():
        known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
        lines, alignment = getattr(source, f"{part}_inputs"), getattr(source, f"{part}_target_clean")
        changes = torch.nn.functional.pad(alignment[:, 1:] != alignment[:, :-1], (1, 0)) & (alignment >= 0)
        starts = (changes & (alignment < 10)).nonzero()
        starts = starts[starts[:, 0] < 200]
        assert len(starts) > 500
        for row, column in starts.tolist():
            patch = lines[row, :, :, column - 1 : column + 7].contiguous()
            assert known[patch.numpy().tobytes()] == alignment[row, column]


def test_test_lines_are_the_same_under_every_seed(tmp_path):
    first, second = (load_source("digit_lines", tmp_path, seed) for seed in (0, 1))
    assert torch.equal(first.test_inputs, second.test_inputs) and torch.equal(first.test_target, second.test_target)
    assert not torch.equal(first.train_target, second.train_target)


def test_the_data_module_counts_the_digits():
    module = DataModule("digit_lines", "sequence", max_train=400, val_fraction=0.25)
    module.setup()
    facts = module.facts()
    assert facts["sizes"] == {"train": 300, "val": 100, "test": 500} and module.input_shape == [1, 8, 64]
    batch = next(iter(module.train_dataloader()))
    assert batch.target.shape == (128, 6) and batch.target_clean.shape == (128, 64)
    loader = module.train_dataloader()
    total = torch.cat([batch.target for batch in loader])
    assert facts["train_class_counts"] == [int((total == label).sum()) for label in range(10)]


def test_the_middle_column_stands_for_a_frame():
    assert of_frames(torch.arange(8).unsqueeze(0), 2).tolist() == [[2, 6]]
    with pytest.raises(ConfigError, match="3 frames for lines of 8 columns"):
        of_frames(torch.zeros(1, 8), 3)


def test_metrics_by_hand():
    """Of 5 classes one is replaced and one is missing; by the beam search only the missing one is wrong."""
    predictions = {
        "target": torch.tensor([[1, 2, 3], [4, 4, -1]]),
        "decoded": torch.tensor([[1, 7, 3], [4, -1, -1]]),
        "decoded_beam": torch.tensor([[1, 2, 3], [4, -1, -1]]),
        "nll": torch.tensor([1.0, 2.0]),
        "blank_share": torch.tensor([0.5, 1.0]),
        "frame_accuracy": torch.tensor([0.5, 0.0]),
    }
    expected = {"cer": 0.4, "cer_beam": 0.2, "wer": 1.0, "exact_line": 0.0, "nll": 1.5, "blank_share": 0.75,
                "frame_accuracy": 0.25}  # fmt: skip
    assert sequence_metrics(predictions) == pytest.approx(expected)
    read = {**predictions, "decoded": predictions["decoded_beam"]}
    assert sequence_metrics(read)["exact_line"] == 0.5


@pytest.mark.usefixtures("undrawn")
def test_losses_under_one_seed_are_paired_and_measured_alike(cell):
    entries = [run(cell(*SMALL, f"loss={loss}", "trainer.max_epochs=1")) for loss in LOSSES]
    assert {entry["status"] for entry in entries} == {"finished"}
    for name in ("weights", "targets", "split", "order"):
        assert len({entry["hashes"][name] for entry in entries}) == 1
    keys = {f"{part}/{metric}" for part in ("test", "val") for metric in task_named("sequence").named}
    assert all(entry["metrics"]["last"].keys() == keys for entry in entries)
    assert all(entry["monitor"] == "cer" and entry["learner"] == "ctc" for entry in entries)


def test_what_a_run_leaves(cell):
    made = cell(*SMALL, "loss=ctc", "trainer.max_epochs=1")
    entry = run(made)
    names = {path.name for path in made.path.iterdir()}
    assert {"predictions.npz", "learning_curves.png", "posteriors.png"} <= names
    with np.load(made.path / "predictions.npz") as test:
        assert test["posteriors"].shape == (4, 32, 11) and test["images"].shape == (4, 8, 64)
        assert np.allclose(test["posteriors"].sum(-1), 1, atol=1e-5)
        assert len(test["decoded"]) == len(test["decoded_beam"]) == len(test["target"]) == 100
        assert test["nll"].mean() == pytest.approx(entry["metrics"]["last"]["test/nll"], rel=1e-5)
    weights = 3 * 4 * entry["parameters"]  # with the two moments of Adam
    assert (made.path / "checkpoints" / "last.ckpt").stat().st_size < weights + 150_000


def test_the_report_shows_the_same_lines_for_each_loss(cell, tmp_path):
    for loss in ("ctc", "framewise_cross_entropy"):
        assert run(cell(*SMALL, f"loss={loss}", "trainer.max_epochs=2"))["status"] == "finished"
    (comparison,) = comparisons(read_outputs(tmp_path))
    analysis = analyse(comparison, Options())
    (drawn,), (shares,) = posteriors(analysis), blank_share(analysis)
    images, *below = [drawn.figure.axes[row : row + 2] for row in range(0, 6, 2)]
    assert all(len(axes.images) == 1 for axes in images)
    assert [row[0].get_title(loc="left") for row in below] == analysis.counted
    target = load_arrays(comparison.finished("ctc")[0], "predictions.npz", ["alignment"])["alignment"]
    for axes, alignment in zip(below[0], target, strict=False):
        assert len(axes.lines[0].get_xdata()) == (alignment >= 0).sum()
    assert len(shares.figure.axes[0].lines) == 2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("undrawn")
def test_every_loss_learns_to_read(loss, cell):
    lines = ["data=digit_lines", "data.max_train=1000", "data.max_test=100", "data.batch_size=16"]
    entry = run(
        cell(*lines, f"loss={loss}", "optimizer.lr=0.005", "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=5")
    )
    assert entry["metrics"]["last"]["test/cer"] < 0.6


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["loss=ctc", "data=digits"], "but data=digits is multiclass. Data of that task: digit_lines, mnist_lines. "),
        (["loss=focal", "data=digit_lines"], "Losses that serve sequence: ctc, ctc_confidence_penalty, ctc_entropy"),
        (["loss=ctc", "data=digit_lines", "model=lenet"], "model=lenet: model is for what predicts and compares"),
        (["loss=ctc", "data=digit_lines", "learner=supervised"], "loss=ctc is learned by learner=ctc"),
        (["loss=ctc", "data=digit_lines", "learner.beam_width=0"], "learner.beam_width=0 is out of range"),
        (["loss=ctc", "data=digit_lines", "data/noise=symmetric"], "data/noise=symmetric is for multiclass"),
        (["loss=ctc_entropy", "data=digit_lines", "loss.beta=-1"], "loss.beta=-1 is out of range"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_before_training(lines, said, cell):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)

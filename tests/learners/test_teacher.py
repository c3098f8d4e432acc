"""Distillation: the loss against torch's and closed forms; teachers: what they say, what they change, mistakes."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.compare.numbers.comparisons import labels, read_cells
from lossbench.config.checks import check
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.load_teacher import load_teacher
from lossbench.running.run import run
from tests.support.stacks import EXACT, SMALL, assert_same, trained_alone, trained_together

pytestmark = pytest.mark.xdist_group("teachers")

TARGET = torch.arange(6) % 4


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    student, teacher = 2 * torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    return student.requires_grad_(), teacher


def value_and_gradient(student, teacher, **parameters):
    value = load_loss("distillation", **parameters)(student, TARGET, teacher_logits=teacher)
    return value.detach(), torch.autograd.grad(value.sum(), student)[0]


def assert_is(pair, expected, student):
    torch.testing.assert_close(pair[0], expected.detach())
    torch.testing.assert_close(pair[1], torch.autograd.grad(expected.sum(), student)[0])


def test_without_a_share_of_the_teacher_it_is_the_cross_entropy(logits):
    student, teacher = logits
    expected = F.cross_entropy(student, TARGET, reduction="none")
    assert_is(value_and_gradient(student, teacher, alpha=0.0, temperature=7.0), expected, student)


def test_at_temperature_1_the_gradient_is_that_of_the_cross_entropy_with_soft_targets(logits):
    student, teacher = logits
    value, gradient = value_and_gradient(student, teacher, alpha=1.0, temperature=1.0)
    soft = F.cross_entropy(student, teacher.softmax(-1), reduction="none")
    torch.testing.assert_close(gradient, torch.autograd.grad(soft.sum(), student)[0])
    entropy = torch.distributions.Categorical(logits=teacher).entropy()
    torch.testing.assert_close(value, (soft - entropy).detach())


@pytest.mark.parametrize(("temperature", "alpha"), [(4.0, 0.9), (0.5, 0.3), (20.0, 1.0)])
def test_is_torchs_divergence_and_has_hintons_gradient(logits, temperature, alpha):
    """Equation 2 of the paper, times T^2: the softened probabilities of the student minus the teacher's, times T."""
    student, teacher = logits
    pair = value_and_gradient(student, teacher, temperature=temperature, alpha=alpha)
    soft_student, soft_teacher = (F.softmax(each / temperature, -1) for each in logits)
    divergence = temperature**2 * F.kl_div(soft_student.log(), soft_teacher, reduction="none").sum(-1)
    hard = F.cross_entropy(student, TARGET, reduction="none")
    torch.testing.assert_close(pair[0], ((1 - alpha) * hard + alpha * divergence).detach())
    of_hard = student.softmax(-1) - F.one_hot(TARGET, 4)
    of_soft = temperature * (soft_student - soft_teacher)
    torch.testing.assert_close(pair[1], ((1 - alpha) * of_hard + alpha * of_soft).detach())


def test_at_a_high_temperature_logits_are_matched(logits):
    """Equation 4 of the paper: for logits of mean 0 the gradient comes near to (z - t) / K."""
    student, teacher = (each.detach() - each.detach().mean(-1, keepdim=True) for each in logits)
    _, gradient = value_and_gradient(student.requires_grad_(), teacher, alpha=1.0, temperature=1e4)
    torch.testing.assert_close(gradient, (student.detach() - teacher) / 4, rtol=1e-3, atol=1e-4)


def test_the_teacher_gets_no_gradient(logits):
    student, teacher = logits
    teacher.requires_grad_()
    load_loss("distillation")(student, TARGET, teacher_logits=teacher).sum().backward()
    assert teacher.grad is None and student.grad is not None


TEACHER = ["data=digits", "loss=cross_entropy", "trainer.max_epochs=6"]
STUDENT = ["data=digits", "loss=distillation", "trainer.max_epochs=2", "model.hidden=[16]"]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Folders of finished runs that differ in their seed, or in anything else."""
    from tests.support.commands import make_cell

    output_dir, made = tmp_path_factory.mktemp("teachers"), {}

    def get(*overrides: str):
        if overrides not in made:
            each = make_cell(*TEACHER, *overrides, output_dir=output_dir)
            run(each)
            made[overrides] = each.path
        return made[overrides]

    return get


def test_a_teacher_says_what_its_run_predicted(cell, teachers):
    data = build_data(cell(*TEACHER).config.data)
    teacher = load_teacher(teachers(), data.input_shape, data.num_classes)
    said = torch.cat([teacher(batch.inputs) for batch in data.test_dataloader()])
    with np.load(teachers() / "predictions.npz") as predictions:
        np.testing.assert_allclose(said.numpy(), predictions["logits"], rtol=1e-4, atol=1e-4)
    assert not said.requires_grad


def test_a_student_is_taught_and_its_teacher_stays_as_it_is(cell, teachers):
    made = cell(*STUDENT, f"teacher={teachers()}", "loss.alpha=1", "trainer.max_epochs=15")
    entry = run(made)
    theirs = record.read(teachers())
    assert entry["teacher"] == {"folder": str(teachers()), "name": "cross_entropy-s0", "key": theirs["key"]}
    assert entry["parameters"] < theirs["parameters"]
    saved = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(name.startswith("network.") for name in saved)
    assert entry["metrics"]["last"]["test/accuracy"] > 0.8  # with alpha=1 no label was seen
    data = build_data(made.config.data)
    before = build_learner(made, data).teacher.network.state_dict()
    trained = torch.load(teachers() / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close({f"network.{name}": value for name, value in before.items()}, trained)


def test_the_key_follows_the_run_of_the_teacher_and_not_its_path(cell, teachers, tmp_path):
    shutil.copytree(teachers(), tmp_path / "moved")
    here, moved, other = (
        cell(*STUDENT, f"teacher={folder}") for folder in (teachers(), tmp_path / "moved", teachers("seed=1"))
    )
    assert here.key == moved.key != other.key
    assert here.problem == other.problem == cell("data=digits", *STUDENT[2:], "loss=focal").problem
    names = [label.partition("(")[2] for label in labels(list(read_cells([here, other])))]
    assert names == ["", ""]  # not before they have run
    for each in (here, other):
        run(each)
    assert labels(list(read_cells([here, other]))) == [
        f"distillation(teacher=cross_entropy-s{seed}-{record.read(folder)['key'][:8]})"
        for seed, folder in enumerate((teachers(), teachers("seed=1")))
    ]


def test_a_loss_without_use_for_a_teacher_is_the_same_run_with_one(cell, teachers):
    with_one, without = cell(*TEACHER, f"teacher={teachers()}"), cell(*TEACHER)
    assert with_one.key == without.key and with_one.resolved == without.resolved


def test_students_of_different_teachers_share_a_stack(cell, teachers):
    lines = ["data=digits", *SMALL, *EXACT]
    cells = [
        cell(*lines, "loss=distillation", f"teacher={teachers()}"),
        cell(*lines, "loss=distillation", f"teacher={teachers('seed=1')}"),
        cell(*lines, "loss=distillation", f"teacher={teachers()}", "seed=3"),
        cell(*lines, "loss=weighted_sum", "loss.terms.0=distillation", f"teacher={teachers()}"),
        cell(*lines, "loss=cross_entropy"),
    ]
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 1e-10)


def test_mistakes_are_told_before_training(cell, teachers, tmp_path):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(teachers(), unfinished)
    record.write(unfinished, {**record.read(unfinished), "status": "killed"})
    bare = tmp_path / "bare"
    shutil.copytree(teachers(), bare, ignore=shutil.ignore_patterns("*.ckpt"))
    mistakes = {
        None: "loss=distillation learns from a teacher: teacher=FOLDER",
        tmp_path / "nowhere": "no record.json. Make one: python -m lossbench loss=cross_entropy data=digits",
        unfinished: "this run is killed",
        bare: "no checkpoints/last.ckpt",
        teachers("data=breast_cancer"): "data.source=breast_cancer, but data=digits has source=digits",
        teachers("loss=ldam"): "was trained with ldam, whose outputs are read by scaled_softmax",
    }
    for folder, said in mistakes.items():
        with pytest.raises(ConfigError) as told:
            cell(*STUDENT, *([] if folder is None else [f"teacher={folder}"]))
        assert said in str(told.value)
    with pytest.raises(ConfigError, match="loss=weighted_sum learns from a teacher"):
        cell("data=digits", "loss=weighted_sum", "loss.terms.1=distillation")
    with pytest.raises(ConfigError, match="no loss here learns from a teacher"):
        check([cell(*TEACHER, f"teacher={teachers()}")])


def own_loss(logits, target, *, teacher_logits):
    return (logits - teacher_logits).square().sum(-1)


def test_a_loss_of_the_user_may_ask_for_a_teacher(cell, teachers):
    lines = ["data=digits", f"loss._target_={__name__}.own_loss", "trainer.max_epochs=1"]
    assert run(cell(*lines, f"teacher={teachers()}"))["teacher"]["name"] == "cross_entropy-s0"
    with pytest.raises(ConfigError, match="loss=own_loss learns from a teacher"):
        run(cell(*lines))

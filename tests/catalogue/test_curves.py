"""Curves against closed forms and finite differences; the figure as far as its data and files go."""

import math

import numpy as np
import pytest
import torch

from lossbench.catalogue.binding import bind, load_loss
from lossbench.catalogue.curves import curves, draw_loss_curves
from lossbench.catalogue.facts import loss_names
from lossbench.catalogue.loss_picture import MAX_LOSSES, REACH, TWO_CLASSES
from lossbench.errors import ConfigError
from lossbench.losses.facts import declared_losses
from lossbench.tasks import task_named

DRAWN = [name for name in loss_names() if task_named(declared_losses()[name].task).curves]
X = torch.linspace(-3, 3, 24, dtype=torch.float64)


def loaded(name, **parameters):
    needs = {key: TWO_CLASSES[key] for key in declared_losses()[name].needs if key in TWO_CLASSES}
    return load_loss(name, **{**needs, **parameters})


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_cross_entropy_of_two_classes_is_the_logistic_loss_of_the_margin(name):
    value, slope, curvature = curves(loaded(name), X)
    p = 1 / (1 + np.exp(-X.numpy()))
    assert np.allclose(value, np.log1p(np.exp(-X.numpy())))
    assert np.allclose(slope, p - 1)
    assert np.allclose(curvature, p * (1 - p))


def test_residual_is_target_minus_prediction():
    value, slope, curvature = curves(loaded("quantile", q=0.9), torch.tensor([-2.0, 2.0]))
    assert value.tolist() == pytest.approx([0.2, 1.8])  # too low a prediction is the dear one for q = 0.9
    assert slope.tolist() == pytest.approx([-0.1, 0.9])
    assert curvature.tolist() == [0, 0]


def test_the_true_class_is_the_rare_one():
    value, _, _ = curves(loaded("balanced_softmax"), torch.tensor([0.0]))
    assert value.item() == pytest.approx(math.log(1010 / 10))


@pytest.mark.parametrize("name", [name for name in DRAWN if not declared_losses()[name].detached])
def test_derivatives_are_those_of_finite_differences(name):
    loss, step = loaded(name), 1e-4
    reach = REACH["residual" if loss.declaration.task == "regression" else loss.declaration.head]
    x = torch.linspace(-reach, reach, 20, dtype=torch.float64) + 0.013  # off the kinks
    x = x[x < reach]
    value, slope, curvature = curves(loss, x)
    assert value.dtype == slope.dtype == curvature.dtype == torch.float64
    below, above = curves(loss, x - step)[0], curves(loss, x + step)[0]
    assert torch.allclose(slope, (above - below) / (2 * step), atol=1e-4, rtol=1e-4)
    assert torch.allclose(curvature, (above - 2 * value + below) / step**2, atol=1e-3, rtol=1e-3)


def test_a_loss_that_needs_more_gets_the_same_sample_at_each_margin():
    def with_features(logits, target, *, features, index):
        return logits[:, 0] * 0 + features.sum(1) + index

    value, slope, _ = curves(bind(with_features, {}, {}), X)
    assert value.unique().numel() == 1 and slope.abs().sum() == 0


def test_a_loss_of_several_labels_has_no_curve(tmp_path):
    with pytest.raises(ConfigError, match=r"multilabel_bce: .*there are curves for the tasks binary, multiclass"):
        draw_loss_curves({name: loaded(name) for name in ("multilabel_bce", "focal")}, tmp_path / "curves")


@pytest.mark.parametrize(
    "names", [["focal", "ldam", "bce", "balanced_softmax", "logit_adjustment"], ["mse", "l2", "tukey", "quantile"]]
)
def test_draws_png_and_svg(tmp_path, names):
    paths = draw_loss_curves({name: loaded(name) for name in names}, tmp_path / "new" / "curves.v2")
    assert [path.name for path in paths] == ["curves.v2.png", "curves.v2.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG") and b"<svg" in paths[1].read_bytes()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw, and return the figure instead of the files."""
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure))

    def draw(losses):
        draw_loss_curves(losses, tmp_path / "curves")
        return figures[-1]

    return draw


def test_twenty_losses_look_different(drawn):
    figure = drawn({f"focal {number}": loaded("focal", gamma=number / 4) for number in range(MAX_LOSSES)})
    lines = figure.legends[0].get_lines()
    looks = [(line.get_color(), str(line._dash_pattern), line.get_marker()) for line in lines]
    twins = {line.get_label() for line, look in zip(lines, looks, strict=True) if looks.count(look) > 1}
    assert len(lines) == MAX_LOSSES and len(twins) < 10
    for axes in figure.axes:  # what no style tells apart has its name at its end
        assert {text.get_text() for text in axes.texts} == twins


def test_a_hidden_curve_is_named_in_the_legend(drawn):
    figure = drawn({name: loaded(name) for name in ("balanced_softmax", "focal", "logit_adjustment")})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "balanced_softmax", "focal", "logit_adjustment = balanced_softmax"
    ]  # fmt: skip


def test_a_steep_loss_leaves_the_panel_and_the_title_says_so(drawn):
    figure = drawn({"ldam (s=30)": loaded("ldam"), "cross_entropy": loaded("cross_entropy")})
    value, _, curvature = figure.axes
    assert value.get_ylim()[1] < 20 and "ldam to 75" in value.get_title()
    assert curvature.get_ylim()[1] < 1 and "ldam to 225" in curvature.get_title()
    assert "10 training samples, the other with 1000: ldam." in figure.get_suptitle()
    assert "cosines" in figure.get_suptitle()


def test_cosines_end_at_a_margin_of_two(drawn):
    figure = drawn({"ldam": loaded("ldam"), "focal": loaded("focal")})
    ends = [line.get_xdata()[-1] for line in figure.axes[0].get_lines()[:2]]
    assert ends == [2, 6]


def test_regression_and_classification_do_not_mix(tmp_path):
    with pytest.raises(ConfigError, match=r"regression \(mse\).*classification \(focal\)"):
        draw_loss_curves({"mse": loaded("mse"), "focal": loaded("focal")}, tmp_path / "curves")


def test_more_losses_than_looks_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="21 losses"):
        draw_loss_curves({str(number): loaded("mse") for number in range(21)}, tmp_path / "curves")


def test_a_file_that_can_not_be_written_is_an_error_to_mend(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="output="):
        draw_loss_curves({"mse": loaded("mse")}, tmp_path / "file" / "curves")


def test_a_student_is_drawn_with_a_teacher_of_margin_two(drawn):
    value, slope, _ = curves(loaded("distillation", alpha=1.0), torch.tensor([2.0, 3.0]))
    assert value[0].item() == pytest.approx(0) and slope[0].item() == pytest.approx(0) and value[1] > 0.05
    assert (
        "The teacher has a margin of 2: distillation." in drawn({"distillation": loaded("distillation")}).get_suptitle()
    )

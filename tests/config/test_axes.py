"""What losses are combined with, in names, keys, labels and records; and keys that nothing reads."""

import argparse

import pytest

from lossbench.compare.numbers.comparisons import comparisons, labels
from lossbench.compare.report.fairness import cautions
from lossbench.compat.hydra import parse_arguments
from lossbench.config.axes import AXES, additions, axes_of
from lossbench.config.cell import NOT_IN_KEY
from lossbench.config.checks import check_cell
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.records.provenance import digest
from lossbench.running.launch import _counted
from lossbench.tracking.agreement import parameters_of
from tests.support.compared import made_up

ALL = ["loss=ldam", "weighting=drw", "sampler=class_balanced", "mixup=mixup", "posthoc=temperature"]


def arguments(*overrides: str) -> argparse.Namespace:
    return parse_arguments(["-m", "tracking=none", *overrides])


def test_the_plain_choice_of_each_axis_adds_nothing(cell):
    plain = cell()
    for axis, choice in AXES.items():
        named = cell(f"{axis}={choice}")
        assert (named.key, named.name, named.problem) == (plain.key, plain.name, plain.problem)
        assert (CONF / axis / f"{choice}.yaml").is_file()
    assert axes_of({}) == AXES and additions({}) == ""


def test_a_cell_is_named_by_all_that_it_is_made_of(cell):
    plain, full = cell("loss=ldam"), cell(*ALL)
    assert (plain.name, full.name) == ("ldam-s0", "ldam+drw+class_balanced+mixup+temperature-s0")
    chosen = {"weighting": "drw", "sampler": "class_balanced", "mixup": "mixup", "posthoc": "temperature"}
    assert full.axes == {**chosen, "combine": "sum"}
    assert plain.problem == full.problem and plain.key != full.key
    parameters = parameters_of(full.resolved, full.named_choices)
    assert {axis: parameters[axis] for axis in AXES} == full.axes


@pytest.mark.parametrize(
    "line", ["weighting=inverse", "sampler=square_root", "mixup=mixup", "posthoc=temperature", "combine=dwa"]
)
def test_each_axis_changes_the_key_and_not_the_problem(cell, line):
    plain, other = cell("loss=sce"), cell("loss=sce", line)
    assert plain.problem == other.problem and plain.key != other.key
    assert other.method == f"sce+{line.partition('=')[2]}"


def test_methods_are_counted_and_labelled():
    lines = ["loss=cross_entropy", "posthoc=none,temperature,logit_adjustment", "sampler=uniform,class_balanced"]
    cells = compose_cells(arguments("data=digits_imb", *lines, "seed=0,1"))
    for each in cells:
        check_cell(each)
    assert _counted(cells) == "12 runs (1 problem, 6 losses, 2 seeds)"
    assert len({each.problem for each in cells}) == 1
    found = labels([{"loss": each.loss, **each.axes, "config": each.resolved} for each in cells])
    assert dict.fromkeys(found) == dict.fromkeys(
        [
            "cross_entropy",
            "cross_entropy+class_balanced",
            "cross_entropy+temperature",
            "cross_entropy+class_balanced+temperature",
            "cross_entropy+logit_adjustment",
            "cross_entropy+class_balanced+logit_adjustment",
        ]
    )


def test_a_parameter_of_an_axis_is_in_the_label_where_runs_differ_in_it():
    cells = compose_cells(arguments("posthoc=logit_adjustment", "posthoc.tau=0.5,1"))
    found = labels([{"loss": each.loss, **each.axes, "config": each.resolved} for each in cells])
    assert found == ["cross_entropy+logit_adjustment(posthoc.tau=0.5)", "cross_entropy+logit_adjustment(posthoc.tau=1)"]


def test_a_parameter_that_comes_with_the_choice_is_not_in_the_label():
    cells = compose_cells(arguments("data=digits_imb", "sampler=class_balanced,square_root"))
    found = labels([{"loss": each.loss, **each.axes, "config": each.resolved} for each in cells])
    assert found == ["cross_entropy+class_balanced", "cross_entropy+square_root"]


def test_records_from_before_an_axis_are_without_it():
    assert labels([made_up("focal", 0, 0.5), made_up("ldam", 0, 0.5, weighting="drw")]) == ["focal", "ldam+drw"]


def test_another_sampler_is_another_order_but_the_same_sampler_must_share_it():
    def entry(loss, sampler, order):
        hashes = {"targets": "t", "split": "s", "weights": "w", "order": order}
        return made_up(loss, 0, 0.5, sampler=sampler, hashes=hashes)

    paired = [entry("focal", "uniform", "a"), entry("gce", "uniform", "a"), entry("focal", "class_balanced", "b")]
    (comparison,) = comparisons(paired)
    assert list(comparison.entries) == ["focal", "gce", "focal+class_balanced"]
    assert cautions(comparison) == []
    (comparison,) = comparisons([*paired, entry("gce", "class_balanced", "c")])
    assert any("batch order" in said for said in cautions(comparison))


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("+experiments=cao2019_cifar_lt", "Nearest: experiment"),
        ("+los=focal", "Nearest: loss"),
        ("+scal.lr=0.1", "Nearest: scale"),
        ("+weightings.beta=0.9", "Nearest: weighting"),
        ("++ouput_dir=x", "Nearest: output_dir"),
    ],
)
def test_a_key_that_nothing_reads_is_told(line, hint):
    with pytest.raises(ConfigError, match="nothing reads the key") as caught:
        check_cell(compose_cells(arguments(line))[0])
    assert str(caught.value).startswith(line) and hint in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [
        ["+experiment=cao2019_cifar_lt", "+scale=small"],
        ["+scale=small", "data=digits", "model=mlp"],
        ["+trainer.limit_train_batches=2", "+optimizer.amsgrad=true", "++loss.search={}"],
        ["+rate=0.3", "optimizer.lr=${rate}"],
        ["+mine.lr=0.3", "optimizer.lr=${oc.select:mine.lr,0.1}"],
    ],
)
def test_keys_that_are_read_are_welcome(lines):
    check_cell(compose_cells(arguments(*lines))[0])


def test_what_came_later_leaves_earlier_runs_their_keys(cell):
    """The key is that of a config without these settings, as earlier versions had them."""
    now = cell("data=digits")
    data = {name: value for name, value in now.resolved["data"].items() if name not in ("disjoint", "views")}
    assert {"disjoint", "views"} <= now.resolved["data"].keys()
    earlier = {name: value for name, value in now.resolved.items() if name != "combine"}
    assert digest({**earlier, "data": data}, leaving_out=NOT_IN_KEY) == now.key
    disjoint = cell("data=digits_disjoint", "loss=embedding_softmax")
    one = cell("data=digits_disjoint", "loss=embedding_softmax", "data.views=2")
    assert disjoint.problem != one.problem and disjoint.key != one.key


def test_data_of_the_help_texts_are_others_under_another_python(cell, monkeypatch):
    here = cell("data=help_classes").key
    monkeypatch.setattr("lossbench.config.cell.python_version", lambda: "3.99.0")
    assert cell("data=help_classes").key != here
    assert cell("data=digits").problem == cell("data=digits").problem

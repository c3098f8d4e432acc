"""Named variants of a sweep: how they are written, what they make, what they are called, and what is refused."""

import shlex

import pytest

from lossbench.cli.tune import compose_tuning
from lossbench.compare.numbers.comparisons import comparisons, labels, read_cells
from lossbench.compare.numbers.labels import meanings
from lossbench.compare.report.fairness import names
from lossbench.compare.report.provenance import _lines
from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check, leave_out_impossible
from lossbench.config.compose import compose_cells
from lossbench.config.variants import as_hydra_reads
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.job import _for_each
from lossbench.running.launch import _counted
from lossbench.tracking.agreement import tags_of
from lossbench.tune.space import check_tuning, study_name
from tests.support.compared import made_up

ISSUE = (
    'variants.focal_mild="loss=focal loss.gamma=1" variants.focal="loss=focal" '
    'variants.ldam_wide="loss=ldam loss.max_m=.3" variants.ldam="loss=ldam loss.max_m=.5" '
    'variants.ce="loss=cross_entropy"'
)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def composed(command: str):
        cells = leave_out_impossible(compose_cells(parse_arguments(["-m", *shlex.split(command), "tracking=none"])))
        check(cells)
        return cells

    return composed


def of(entries):
    return dict.fromkeys(labels(list(entries)))


def test_a_sweep_is_the_product_of_variants_and_other_values(sweep):
    cells = sweep(f"{ISSUE} seed=0,1 data=digits_imb,digits")
    assert len(cells) == 20 and _counted(cells) == "20 runs (2 problems, 5 losses, 2 seeds)"
    mild = [cell for cell in cells if cell.variant == "focal_mild"]
    assert {(cell.data, cell.config.seed) for cell in mild} == {
        (d, s) for d in ("digits_imb", "digits") for s in (0, 1)
    }
    assert all(cell.config.loss.gamma == 1 and cell.loss == "focal" for cell in mild)
    assert list(of(read_cells(cells[:4] + cells[12:13]))) == ["focal_mild", "ldam"]
    assert mild[0].overrides[-3:] == ("loss.gamma=1", "variant=focal_mild", "seed=0")


def test_the_name_is_in_no_key_and_no_folder(sweep):
    named, plain = sweep('variants.mild="loss=focal loss.gamma=1"'), sweep("loss=focal loss.gamma=1")
    assert (named[0].key, named[0].folder, named[0].problem) == (plain[0].key, plain[0].folder, plain[0].problem)
    assert (named[0].label, plain[0].label) == ("mild", "focal")
    assert "variants" not in named[0].resolved and named[0].record("missing")["variant"] == "mild"


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        ("loss=focal loss.gamma=1", ["loss=focal", "loss.gamma=1"]),
        ("[loss=focal, loss.gamma=1]", ["loss=focal", "loss.gamma=1"]),
        ("loss=weighted_sum 'loss.terms.1={name: focal}'", ["loss=weighted_sum", "loss.terms.1={name: focal}"]),
        ("loss.terms.1={name: focal, gamma: 1} a='b c'", ["loss.terms.1={name: focal, gamma: 1}", "a='b c'"]),
        ('a="b c"', ['a=\\"b c\\"']),
        ('"loss=focal loss.gamma=1"', ["loss=focal", "loss.gamma=1"]),
        ("'loss=focal loss.gamma=1'", ["loss=focal", "loss.gamma=1"]),
        ('"loss=focal" "loss.gamma=1"', ["loss=focal", "loss.gamma=1"]),
        ("\"loss=expression a='p q'\"", ["loss=expression", "a='p q'"]),
    ],
)
def test_words_become_lists_that_hydra_reads(typed, lines):
    written = "++variants.x=[" + ",".join(f'"{line}"' for line in lines) + "]"
    assert as_hydra_reads([f"variants.x={typed}", "seed=0"]) == [written, "seed=0"]
    assert as_hydra_reads([written]) == [written] == as_hydra_reads([f"+variants.x={typed}"])


def test_yaml_brings_variants_and_the_command_line_more(tmp_path, sweep):
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "two.yaml").write_text(
        "# @package _global_\nvariants:\n  focal_mild: [loss=focal, loss.gamma=1]\n  ce: loss=cross_entropy\n"
        "hydra: {sweeper: {params: {seed: '0,1'}}}\n"
    )
    found = sweep(f"--config-dir {tmp_path / 'mine'} +experiment=two variants.mid='loss=gce' ~variants.ce")
    assert [(cell.variant, cell.config.seed) for cell in found] == [
        ("focal_mild", 0), ("focal_mild", 1), ("mid", 0), ("mid", 1),
    ]  # fmt: skip
    again = sweep(f"--config-dir {tmp_path / 'mine'} +experiment=two loss=focal loss.gamma=1 variant=focal_mild")
    assert [cell.key for cell in again] == [cell.key for cell in found[:2]]  # one of them on its own


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("variants.a+b=loss=focal", ["variants.a+b", "letters, digits and _"]),
        ("variants.1a=loss=focal", ["variants.1a", "begins with a letter"]),
        ("variants.a=", ["variants.a=", "nothing stands under the name"]),
        ("variants.a=null", ["variants.a=null", "nothing stands"]),
        ("variants={a:1}", ["variants={a:1}", "a key of its own"]),
        ("variants.a=focal", ["variants.a: 'focal'", "no '='"]),
        ("'variants.a=loss=focal loss.gama=1'", ["variants.a: loss.gama=1", "Nearest: gamma"]),
        ("variants.a=los=focal", ["variants.a: los=focal", "Nearest: loss"]),
        ("variants.a=loss=focl", ["variants.a: loss=focl", "Nearest: focal"]),
        ("'variants.a=loss=focal loss.gamma=1,2'", ["variants.a: loss.gamma=1,2", "several values"]),
        ("'variants.a=loss=focal engine=single'", ["variants.a: engine=single", "whole command"]),
        ("variants.a=loss=focal loss=gce,sce", ["variants.a sets loss", "loss=gce,sce", "several values"]),
        ("variants.a=loss=focal 'variants.b=loss=focal loss.gamma=2.0'", ["variants.a and variants.b", "the same run"]),
        (
            '\'variants.a="loss=expression loss.expression="-log(p)""\'',
            ["variants.a: ", "can't be read", "quotes of the other kind"],
        ),
        (
            '\'variants.a="loss=focal", "loss.gamma=1"\'',
            ["variants.a: ", 'Write variants.NAME="loss=focal loss.gamma=1"'],
        ),
        ('\'variants.a=["loss=focal" "loss.gamma=1"]\'', ["variants.a=[", "in YAML variants: {NAME: [loss=focal,"]),
        ("variants.ldam=loss=focal", ["variants.ldam", "there is a loss ldam", "focal"]),
        ("'variants.a=loss=focal loss.gamma=-1'", ["loss.gamma=-1"]),
        ("variants.a=loss=focal compare.baseline=b seed=0,1", ["compare.baseline=b", "Allowed: a, focal"]),
        ("variant=1a", ["variant=1a", "begins with a letter"]),
    ],
)
def test_mistakes_are_told_before_anything_is_written(command, parts, sweep, tmp_path):
    with pytest.raises(ConfigError) as error:
        sweep(command)
    assert all(part in str(error.value) for part in parts), error.value
    assert not list(tmp_path.iterdir())


def test_without_m_variants_are_refused_and_a_single_name_is_not(sweep):
    with pytest.raises(ConfigError, match=r"variants.a: several values need -m"):
        compose_cells(parse_arguments(["variants.a=loss=focal"]))
    (cell,) = compose_cells(parse_arguments(["variant=mine", "loss=focal"]))
    assert cell.label == "mine"


def test_a_key_that_only_some_choices_have(sweep):
    assert [cell.loss for cell in sweep("loss=focal,class_balanced_focal loss.gamma=1")] == [
        "focal", "class_balanced_focal",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as error:
        sweep("loss=focal,cross_entropy,ldam loss.gamma=1 seed=0,1")
    assert "no such key in loss=cross_entropy, loss=ldam," in str(error.value)
    assert 'variants.NAME="loss=CHOICE loss.gamma=1"' in str(error.value)
    with pytest.raises(ConfigError, match="no key 'gamma' in loss=cross_entropy"):
        sweep("loss=cross_entropy,ldam loss.gamma=1")


def test_impossible_variants_are_left_out(sweep, capsys):
    cells = sweep("variants.a=loss=mse variants.b=loss=focal data=digits skip_impossible=true seed=0,1")
    assert [cell.label for cell in cells] == ["b", "b"] and "2 of 4 runs" in capsys.readouterr().err


def test_names_in_labels():
    def entry(seed, gamma, **more):
        settings = {"_target_": "lossbench.losses.focal", "gamma": gamma}
        made = made_up("focal", seed, 0.5, **more)
        return {**made, "config": {**made["config"], "loss": settings}}

    mild, plain = entry(0, 1.0, variant="mild"), entry(0, 2.0)
    assert labels([mild, plain]) == ["mild", "focal(gamma=2)"]
    assert labels([mild, entry(1, 1.0)]) == ["mild", "mild"]  # made before the method was named
    assert labels([mild, entry(1, 1.0, variant="weak"), plain])[:2] == ["focal(gamma=1)"] * 2  # named twice
    assert labels([mild, entry(0, 1.2, variant="mild")]) == ["mild(gamma=1)", "mild(gamma=1.2)"]
    assert labels([mild, entry(0, 1.0, variant="mild", weighting="drw")]) == ["mild", "mild+drw"]
    assert labels([entry(0, 1.0, variant="ldam"), made_up("ldam", 0, 0.5)]) == ["focal", "ldam"]
    assert labels([mild, entry(0, 1.0, variant="same", key="k")]) == ["mild", "same"]  # one seed: not the same run
    (comparison,) = comparisons([mild, plain, made_up("gce", 0, 0.5)])
    assert meanings(comparison.entries) == {"mild": "focal(gamma=1)"}
    assert names(comparison) == ["mild is focal(gamma=1)."] and tags_of({**mild, "learner": "supervised", "config": {
        **mild["config"], "tracking": {"experiment": None}}})["variant"] == "mild"  # fmt: skip


def test_labels_of_a_users_loss_say_its_parameters_as_those_of_ours_do():
    def entry(seed, variant=None, **settings):
        made = made_up("mine", seed, 0.5, variant=variant)
        return {**made, "config": {**made["config"], "loss": {"_target_": "own.mine", **settings}}}

    assert labels([entry(0, alpha=1.0), entry(0, alpha=2.0)]) == ["mine(alpha=1)", "mine(alpha=2)"]
    assert labels([entry(0), entry(0, alpha=2.0)]) == ["mine", "mine(alpha=2)"]  # what it is else, its code says
    assert labels([entry(0, alpha=2.0), entry(1, alpha=2.0)]) == ["mine", "mine"]
    (comparison,) = comparisons([entry(0, "strong", alpha=2.0), made_up("gce", 0, 0.5)])
    assert names(comparison) == ["strong is mine(alpha=2)."]


def test_a_name_says_its_parameters_even_if_nothing_differs():
    settings = {"_target_": "lossbench.losses.focal", "gamma": 1.0}
    mild = made_up("focal", 0, 0.5, variant="mild", config={**made_up("focal", 0, 0.5)["config"], "loss": settings})
    (comparison,) = comparisons([mild, made_up("gce", 0, 0.5)])
    assert names(comparison) == ["mild is focal(gamma=1)."]


def test_reused_records_are_called_as_the_sweep_calls_them(sweep):
    (before,), named = sweep("loss=focal loss.gamma=1"), sweep('variants.mild="loss=focal loss.gamma=1"')
    record.write(before.path, before.record("finished"))
    assert labels(list(read_cells(named))) == ["mild"] and record.read(named[0].path)["variant"] is None
    assert labels(list(read_cells([before]))) == ["focal"]


def test_what_is_tuned_can_be_named_but_not_set_by_variants(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def tuning(*words):
        cells = compose_tuning(parse_arguments([*words, "tune.trials=2", "tracking=none", "data=digits_imb"]))
        check(cells)
        check_tuning(cells)
        return cells

    cells = tuning(
        "variants.a=loss=focal loss.search=null", "variants.b=loss=focal loss.gamma=1 loss.search=null", "seed=0,1"
    )
    assert len({study_name(cell) for cell in cells}) == 2 and [cell.variant for cell in cells] == ["a", "a", "b", "b"]
    (plain,) = tuning("loss=focal", "loss.search=null")
    assert study_name(plain) == study_name(cells[0])
    with pytest.raises(ConfigError, match=r"tuning searches loss\.gamma itself"):
        tuning("variants.a=loss=focal", "variants.b=loss=focal loss.gamma=1")


def test_the_report_repeats_a_sweep_of_variants_in_one_command(sweep):
    command = "variants.mild='loss=focal loss.gamma=1' variants.ce='loss=cross_entropy' seed=0,1 data=digits"
    runs = [dict(line.split("=", 1) for line in cell.overrides) for cell in sweep(command)]
    (told,) = _lines([], runs)
    words = shlex.split(told)
    assert words[:6] == ["python", "-m", "lossbench", "-m", "variants.mild=loss=focal loss.gamma=1",
                         "variants.ce=loss=cross_entropy"]  # fmt: skip
    assert sorted(words[6:]) == ["data=digits", "seed=0,1", "tracking=none"]
    assert [cell.key for cell in sweep(command)] == [cell.key for cell in sweep(shlex.join(words[4:]))]
    assert len(_lines([], runs[:3])) == 2  # no full grid: one for each variant


def test_hydra_keeps_values_of_swept_groups_for_the_cells(sweep):
    cells = sweep("loss=focal,class_balanced_focal")
    words = ["-m", "loss=focal,class_balanced_focal", "loss.gamma=1", "loss.search=null", "seed=0", "model.hidden=[8]"]
    told = ["-m", words[1], "loss.gamma=choice(1)", "loss.search=choice(null)", "seed=0", "model.hidden=[8]"]
    assert _for_each(words, cells) == told
    assert _for_each(words, cells[:1]) == words

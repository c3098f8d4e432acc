"""Malformed commands, composed and checked in this process: each is refused in one sentence that says what to do."""

import shlex

import pytest

from lossbench.cli.tune import compose_tuning
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check, leave_out_impossible
from lossbench.config.compose import compose_cells, compose_one, only_looks
from lossbench.config.values import check_comparing
from lossbench.errors import ConfigError
from lossbench.tune.space import check_tuning

REFUSED = {
    # values of another type or out of range, one of each kind: all keys are in test_values.py
    "seed=1.5": ["seed=1.5", "a whole number in [0, inf)", "The default is 0"],
    "seed=null": ["seed=null", "a whole number"],
    "trainer.max_epochs=null": ["trainer.max_epochs=null", "[1, inf)"],
    "compile=abc": ["compile=abc", "true or false"],
    "rerun=abc": ["rerun=abc", "true or false"],
    "scheduler=step scheduler.milestones=abc": ["scheduler.milestones=abc", "a list, each a whole number"],
    "sampler.kind=square_root": ["no key 'kind' in sampler=uniform", "Choose it by sampler=square_root"],
    "model.hidden=[0]": ["model.hidden=[0]", "[1, inf)"],
    "trainer.gradient_clip_val=-1": ["trainer.gradient_clip_val=-1", "[0, inf)"],
    "optimizer.betas=[2,3]": ["optimizer.betas=[2, 3]", "a list of 2, each a number in [0, 1)"],
    "compare.columns=accuracy,ece": ["-m (--multirun)", "compare.columns='[accuracy,ece]'"],
    "compare.front=accuracy,ece": ["compare.front='[accuracy,ece]'"],
    "keep=last,best": ["keep='[last,best]'"],
    "compare.columns=accuracy": ["allowed is a list", "compare.columns='[accuracy]'"],
    "data.batch_size=1.5": ["data.batch_size=1.5", "a whole number in [1, inf)"],
    "teacher=[1]": ["teacher=[1]", "text or null"],
    "output_dir=": ["output_dir=", "text", "The default is outputs"],
    "output_dir=null": ["output_dir=null", "text"],
    "+weighting.beta=0.9": ["weighting.beta=0.9", "nothing reads the key 'beta'"],
    "data.source=digts": ["data.source=digts", "Nearest: digits"],
    "data.task=binary": ["data.task=binary", "multiclass"],
    "-m loss=focal,ldam compare.baseline=nothere": ["compare.baseline=nothere", "focal, ldam"],
    "-m loss=focal,ldam compare.baseline=focl": ["compare.baseline=focl", "Nearest: focal"],
    "-m loss=focal,ldam compare.baseline=mse": ["compare.baseline=mse", "not among the losses"],
    "compare.baseline=focl": ["compare.baseline=focl", "Nearest: focal"],
    # nodes that are not there
    "~loss": ["~loss", "Choose one: loss=NAME", "focal"],
    "~trainer": ["~trainer", "trainer=NAME"],
    "~data.source": ["~data.source", "is needed"],
    "~compare": ["~compare", "compare=NAME"],
    "~sampler": ["~sampler", "sampler=NAME"],
    "~data/imbalance": ["data.imbalance.kind is needed", "exp"],
    "~seed": ["~seed", "is needed"],
    "loss=null": ["loss=null", "focal"],
    "-m loss=null,focal": ["loss=null", "focal"],
    "model=null": ["model=null", "mlp"],
    "data=[a]": ["data=a", "digits"],
    "loss=[focal]": ["loss: choose one", "focal"],
    "=1": ["Config group"],
    "hydra.sweeper=null": ["hydra.sweeper"],
    "trainer._target_=abc": ["abc", "current folder"],
    "loss=focal loss.search.gamma=abc": ["loss.search.gamma=abc", "keys with values"],
    # a key of another choice, or a new one
    "data=mnist model.hidden=[8]": ["no key 'hidden' in model=lenet", "model=mlp, model=pixel_mlp", "+model.hidden="],
    "-m data=mnist,digits model.hidden=[8]": ["no key 'hidden' in model=lenet", "model=mlp, model=pixel_mlp"],
    "scheduler={gamma:0.9}": ["no key 'gamma' in scheduler=constant", "scheduler=late_step", "+scheduler.gamma="],
    "optimizer={lr:1,foo:2}": ["no key 'foo' in optimizer=adam", "+optimizer.foo="],
    # what Hydra has and a comparison has not
    "-m optimizer.lr=interval(0.1,1)": ["optimizer.lr=interval(0.1,1)", "python -m lossbench.tune", "range(...)"],
    "-m hydra/sweeper=optuna seed=0,1": ["hydra/sweeper=optuna", "python -m lossbench.tune"],
    "-m seed=glob(x*)": ["no run", "glob(...)"],
    "-m --cfg job seed=0,1": ["--cfg job", "Leave out -m"],
    "-m --info config seed=0,1": ["--info config", "Leave out -m"],
    "hydra.job.chdir=true": ["hydra.job.chdir=true", "output_dir=DIR"],
    "hydra.run.dir=x": ["hydra.run.dir=x", "output_dir=DIR"],
    "-m hydra.sweep.subdir=x seed=0,1": ["hydra.sweep.subdir=x", "output_dir=DIR"],
}  # fmt: skip


def composed(command: str) -> list[Cell]:
    """Compose and check the cells of a command, as `python -m lossbench` does."""
    arguments = parse_arguments(shlex.split(command))
    assert not only_looks(arguments)
    cells = compose_cells(arguments)
    check(cells)
    return cells


@pytest.mark.parametrize("command", REFUSED)
def test_malformed_commands_are_refused(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        composed(command)
    for part in REFUSED[command]:
        assert part in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("-m seed=range(0,3)", 3),
        ("-m 'loss=choice(focal,ldam)' seed=0,1", 4),
        ("-m 'weighting=glob(*,exclude=lds)'", 4),
        ("optimizer={lr:1}", 1),
        ("-m loss=focal loss.gamma=1,2 'compare.baseline=\"focal(gamma=1)\"'", 2),
        ("-m loss=focal,ldam weighting=none,drw compare.baseline=ldam+drw", 4),
        ("compare.baseline=cross_entropy loss=focal", 1),
    ],
)
def test_what_hydra_writes_in_other_ways_works(command, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(composed(command)) == count


UNFIT = "-m loss=cross_entropy,mse,focal weighting=none,lds seed=0,1 data=digits"


def test_impossible_combinations_of_a_sweep_are_left_out_named_and_counted(capsys):
    cells = leave_out_impossible(compose_cells(parse_arguments([*UNFIT.split(), "skip_impossible=true"])))
    check(cells)
    assert [cell.name for cell in cells] == ["cross_entropy-s0", "cross_entropy-s1", "focal-s0", "focal-s1"]
    told = capsys.readouterr().err
    assert "8 of 12 runs" in told and "digits mse-s0, digits mse-s1" in told and "lds is for regression" in told


def test_the_option_changes_no_key():
    plain, skipping = composed("loss=focal"), composed("loss=focal skip_impossible=true")
    assert plain[0].key == skipping[0].key and plain[0].problem == skipping[0].problem


@pytest.mark.parametrize(
    ("command", "parts", "unsaid"),
    [
        (UNFIT, ["weighting=lds", "skip_impossible=true"], None),
        ("-m loss=mse,huber data=digits", ["loss=mse is for regression"], "skip_impossible"),  # it would leave nothing
        ("-m loss=mse,huber data=digits skip_impossible=true", ["all 2 runs", "loss=mse is for regression"], None),
        ("-m loss=focal,mse seed=0,-1 data=digits skip_impossible=true", ["seed=-1 is out of range"], None),  # a typo
    ],
)
def test_sweeps_with_impossible_combinations_are_refused(command, parts, unsaid):
    with pytest.raises(ConfigError) as error:
        check(leave_out_impossible(compose_cells(parse_arguments(command.split()))))
    assert all(part in str(error.value) for part in parts), error.value
    assert unsaid is None or unsaid not in str(error.value)


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("compare.confidence=2", ["compare.confidence=2", "a number in (0, 1)"]),
        ("compare.unpaired=abc", ["compare.unpaired=abc", "true or false"]),
        ("compare.source=mlflo", ["compare.source=mlflo", "Nearest: mlflow"]),
        ("compare.data=[a]", ['compare.data=["a"]', "text or null"]),
        ("output_dir=", ["output_dir=", "text"]),
        ("output_dir=null", ["output_dir=null", "text"]),
        ("~compare.select", ["~compare.select", "is needed"]),
        ("tracking=null", ["tracking=null", "mlflow"]),
        ("~output_dir", ["output_dir"]),
        ("hydra.job.chdir=true", ["hydra.job.chdir=true"]),
        ("-m --cfg job", ["-m (--multirun)", "Leave it out"]),
    ],
)
def test_malformed_commands_of_compare_are_refused(command, parts):
    arguments = parse_arguments(command.split())
    arguments.config_name = "comparison"
    with pytest.raises(ConfigError) as error:
        check_comparing(compose_one(arguments))
    assert all(part in str(error.value) for part in parts), error.value


def test_a_command_of_compare_without_mistakes_is_not_refused():
    arguments = parse_arguments(["compare.data=digits", "compare.confidence=0.9"])
    arguments.config_name = "comparison"
    check_comparing(compose_one(arguments))


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ("tune.seeds=[-1]", ["tune.seeds=[-1]", "[0, inf)"]),
        ("tune.seeds=1.5", ["tune.seeds=[1.5]", "a whole number"]),
        ("tune.trials=null", ["tune.trials=null", "a whole number"]),
        ("tune.pruner=medain", ["tune.pruner=medain", "Nearest: median"]),
        ("tune.lr=3", ["tune.lr=3"]),
        ("~tune", ["tune"]),
        ("~tune.seeds", ["~tune.seeds", "is needed"]),
        ("loss=focal loss.search.gamma.low=abc", ["loss.search.gamma.low=abc", "a number"]),
        ("loss=focal loss.search=3", ["loss.search=3"]),
    ],
)
def test_malformed_commands_of_tune_are_refused(overrides, parts):
    with pytest.raises(ConfigError) as error:
        cells = compose_tuning(parse_arguments(overrides.split()))
        check(cells)
        check_tuning(cells)
    assert all(part in str(error.value) for part in parts), error.value

import subprocess
import sys

import pytest

from lossbench.catalogue.examine.contract import RULES
from lossbench.catalogue.facts import loss_names
from lossbench.catalogue.gallery import pages
from lossbench.cli.losses import answer, parse
from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.losses.facts import declared_losses

MINE = '''
import torch
from torch.nn import functional as F

from lossbench.losses.links import softmax
from lossbench.losses import loss


@loss(task="multiclass", link=softmax, source="Me 2024", problem="fairness", ranges={"scale": "[0, 9]"})
def scaled(logits, target, *, class_counts, scale=1.0):
    """Scaled cross-entropy.

    Formula: scale (-log p_y)
    """
    return scale * F.cross_entropy(logits, target, reduction="none")


def plain(logits, target):
    return F.cross_entropy(logits, target, reduction="none")


def mean(logits, target):
    return F.cross_entropy(logits, target)


def squared(prediction, target):
    return (prediction - target) ** 2
'''
YAMLS = {
    "scaled": "_target_: fair_losses.scaled\n_partial_: true\nscale: 1.0\nsearch:\n  scale: {low: 0.1, high: 9.0}\n",
    "plain": "_target_: fair_losses.plain\n_partial_: true\n",
    "mean": "_target_: fair_losses.mean\n_partial_: true\n",
    "strong": "defaults: [focal]\ngamma: 5.0\n",
    "focal": "_target_: fair_losses.plain\n_partial_: true\n",
    "broken": "_target_: fair_losses.nowhere\n_partial_: true\n",
}


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command in this process, in a folder of its own; return exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words, width=100):
        monkeypatch.setenv("COLUMNS", str(width))
        code = answer(parse(words))
        return code, capsys.readouterr().out

    yield command
    sys.modules.pop("fair_losses", None)


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    (folder / "loss").mkdir(parents=True)
    (folder / "fair_losses.py").write_text(MINE)
    for name, text in YAMLS.items():
        (folder / "loss" / f"{name}.yaml").write_text(text)
    return str(folder)


def names_in(table: str) -> list[str]:
    known = {*loss_names(), *YAMLS}
    return [line.split()[0] for line in table.splitlines() if line.startswith("  ") and line.split()[0] in known]


LISTING = """
import sys
before = set(sys.modules)
import lossbench.cli.losses as command
command.answer(command.parse(sys.argv[1:]))
print(*{name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
"""


@pytest.mark.parametrize("words", [[], ["focal"]])
def test_losses_are_listed_at_once_for_little_is_imported(words):
    ended = subprocess.run([sys.executable, "-c", LISTING, *words], capture_output=True, text=True, check=True)
    imported = {name for name in ended.stdout.splitlines()[-1].split() if not name.startswith(("_", "cython"))}
    assert "lossbench" in imported <= {"lossbench", "antlr4", "attr", "omegaconf", "rich", "yaml"}


@pytest.mark.parametrize("width", [60, 80, 100, 400])
def test_every_loss_has_one_line_within_the_width(run, width):
    code, out = run(width=width)
    assert code == 0 and sorted(names_in(out)) == loss_names()
    assert len(out.splitlines()) == len(loss_names()) + 2 * len(pages()) + 2
    assert max(map(len, out.splitlines()[:-1])) <= width and ("…" in out) == (width < 400)
    focal = next(line for line in out.splitlines() if line.startswith("  focal "))
    assert focal.split()[1:3] == ["multiclass", "Cross-entropy"]
    assert width < 400 or focal.endswith("Cross-entropy with less weight on samples that are already classified well")


def test_losses_stand_by_problem_in_the_order_of_their_names(run):
    lines = run()[1].splitlines()
    heads = {line.partition(":")[0]: place for place, line in enumerate(lines) if line[:1].strip()}
    places = [heads[page.title] for page in pages()]
    assert places == sorted(places)
    assert "Class imbalance: Rare classes matter as much as common ones." in lines
    imbalance = names_in("\n".join(lines[heads["Class imbalance"] : heads["Classification"]]))
    assert imbalance == sorted(imbalance) and {"focal", "ldam"} <= set(imbalance)


@pytest.mark.parametrize(
    ("words", "some", "wanted"),
    [
        (["problem=noise"], ["gce", "mae_prob"], lambda facts: facts.problem == "noise"),
        (["task=binary"], ["bce"], lambda facts: facts.task == "binary"),
        (
            ["task=multiclass", "problem=calibration,noise"],
            ["label_smoothing", "gce"],
            lambda facts: facts.task == "multiclass" and facts.problem in ("calibration", "noise"),
        ),
        (["task=regression", "problem=noise"], [], lambda facts: False),
    ],
)
def test_filters(run, words, some, wanted):
    expected = [name for name, facts in declared_losses().items() if wanted(facts)]
    code, out = run(*words)
    assert code == 0 and sorted(names_in(out)) == sorted(expected) and set(some) <= set(expected)
    assert f"{len(expected)} of {len(loss_names())} losses with {' '.join(words)}." in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=multiclas"], "task=multiclas is not known. Nearest: multiclass. Allowed: binary, "),
        (["problem=nois"], "problem=nois is not known. Nearest: noise. Allowed: calibration, imbalance, noise, out"),
        (["focl"], "focl: no such loss. Nearest: focal"),
        (["plot=focl"], "focl: no such loss. Nearest: focal"),
        (["tsk=binary"], "no key 'tsk'. Nearest: task"),
        (["--confdir"], "no such option. Nearest: --config-dir"),
        (["--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
        (["--config-dir"], "no such folder"),
        (["task="], "task needs one value"),
        (["task=binary", "task=binary"], "given before"),
        (["output=here"], "output=here does not go with list. Allowed: task, problem"),
        (["check=focal", "problem=noise"], "does not go with check. Allowed: task"),
        (["check=focal", "plot=focal"], "one thing at a time"),
        (["check=focal", "task=regression"], "focal declares task multiclass"),
        (["check=focal", "task=binary,multiclass"], "is not known"),
        (["plot=mse,focal"], "can't share a figure"),
        (["check=no_such_module.loss"], "importing 'no_such_module' failed"),
        (["check=math.pi"], "a loss is a function"),
    ],
)
def test_what_can_not_work_is_said(run, words, said):
    with pytest.raises(ConfigError) as told:
        run(*words)
    assert said in str(told.value)


def test_exit_codes_and_help_of_the_command(lossbench):
    refused = lossbench("task=multiclas", module="lossbench.losses")
    assert refused.returncode == 2 and refused.stderr.startswith("error: task=multiclas") and not refused.stdout
    helped = lossbench("--help", module="lossbench.losses")
    assert helped.returncode == 0 and "plot=focal,gce" in helped.stdout
    assert max(map(len, helped.stdout.splitlines())) <= 80


def test_a_loss_is_shown_whole(run):
    code, out = run("ldam", "class_balanced", width=80)
    assert code == 0
    for fact in ('Margin Loss", arXiv:1906.07413', "head         cosine", "tensor([1.3133])", "cross_entropy,ldam"):
        assert fact in out
    rows = {tuple(line.split()) for line in out.splitlines()}
    assert ("s", "30.0", "(0,", "inf)", "5.0", "to", "60.0", "(log", "scale)") in rows
    assert ("beta", "0.9999", "[0,", "1)", "one", "of", "0.9,", "0.99,", "0.999,", "0.9999") in rows
    assert ("class_counts", "from", "the", "run") in rows


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("focal", "-m data=digits loss=cross_entropy,focal seed=0,1,2"),
        ("mse", "data=curve loss=mse"),
        ("distillation", "data=digits loss=distillation teacher=FOLDER"),
        ("nt_xent", "data=digits data.views=2 loss=nt_xent"),
    ],
)
def test_an_example_command_is_one_that_is_taken(run, name, words):
    assert f"python -m lossbench {words}\n" in run(name)[1]
    arguments = parse_arguments([word for word in words.split() if not word.startswith("teacher=")])
    arguments.config_name = "config"
    if name == "distillation":
        with pytest.raises(ConfigError, match="teacher"):
            check(compose_cells(arguments))
    else:
        check(compose_cells(arguments))


def test_an_own_loss_is_shown_whole(run, mine):
    told = " ".join(run("scaled", "--config-dir", mine)[1].split())
    assert "scale 1.0 [0, 9]" in told and "scale (-log p_y)" in told and "Me 2024" in told and "class_counts" in told
    assert "python -m lossbench -m data=digits loss=cross_entropy,scaled seed=0,1,2" in told
    told = " ".join(run("strong", "plain", "--config-dir", mine)[1].split())
    assert "gamma 5.0" in told and "not declared" in told


def test_a_loss_is_shown_with_what_its_family_says(run):
    _, out = run("taylor_ce", width=80)
    assert (
        "arguments    logits : Tensor (..., K), floating point. target : Tensor (...), integer class indices.\n" in out
    )
    assert "\nraises " not in out and "If t is no whole number" in out, "it says its own in the docstring"


def test_own_losses_are_listed_after_those_of_lossbench(run, mine):
    code, out = run("--config-dir", mine)
    own = out[out.index("Yours") :]
    assert code == 0 and names_in(own) == ["mean", "plain", "scaled", "strong"]
    assert "multiclass    Scaled cross-entropy" in own and "not declared  no docstring" in own
    told = " ".join(own.split())
    assert "focal.yaml is never read" in told and "has no 'nowhere'" in told


def test_a_problem_of_ones_own_is_a_filter(run, mine):
    assert names_in(run(f"--config-dir={mine}", "problem=fairness")[1]) == ["scaled"]


def test_plots_to_the_default_path_and_to_another(run, mine, tmp_path):
    code, out = run("plot=focal,strong,plain", "--config-dir", mine)
    assert code == 0 and out.split() == ["outputs/loss_curves.png", "outputs/loss_curves.svg"]
    assert (tmp_path / "outputs" / "loss_curves.svg").is_file()
    code, out = run("plot=mse,huber", "output=here/curves.png")
    assert out.split() == ["here/curves.png", "here/curves.svg"] and (tmp_path / "here" / "curves.png").is_file()


def test_a_loss_that_does_not_fit_is_not_drawn(run, mine):
    with pytest.raises(ConfigError, match="Leave out the mean"):
        run("plot=mean", "--config-dir", mine)


def test_check_tells_each_point_in_one_line(run):
    code, out = run("check=focal")
    assert code == 0 and out.splitlines()[0] == "focal, lossbench.losses.focal, checked as multiclass"
    points = [line for line in out.splitlines() if line.startswith("holds ")]
    assert len(points) == len(RULES) and f"{len(RULES)} hold, 0 fail, 0 advice" in out


def test_check_of_an_own_loss(run, mine):
    code, out = run("check=scaled", "--config-dir", mine)
    told = " ".join(out.split())
    assert code == 0 and "11 hold, 0 fail, 2 advice" in told
    assert "has no title" in told and "lacks the NumPy-style sections Parameters, Examples" in told
    code, out = run("check=plain,mean", "--config-dir", mine)
    assert code == 1 and "FAILS" in out and "Leave out the mean" in " ".join(out.split()) and "it has no @loss" in out
    assert "0 fail, 2 advice" in out and "1 fail, 2 advice" in out


def test_check_of_a_dotted_path_for_another_task(run, mine, monkeypatch):
    monkeypatch.syspath_prepend(mine)
    code, out = run("check=fair_losses.squared", "task=regression")
    assert code == 0 and "checked as regression\n" in out
    assert run("check=fair_losses.squared")[0] == 1


def test_reads_words_in_any_order():
    request = parse(["focal", "task=binary", "-cd", ".", "gce"])
    assert (request.names, request.task, request.config_dir) == (["focal", "gce"], "binary", ".")

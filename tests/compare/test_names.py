"""What a record calls itself is a name, never a path, markup or code, in each of the outputs of a comparison."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from lossbench.catalogue.binding import bind, load_loss
from lossbench.catalogue.curves import draw_loss_curves
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import as_file_name, comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.present import compare_records, tell
from lossbench.compare.report.html import SCRIPTS
from lossbench.compare.report.writers import markdown, to_csv
from tests.support.compared import made_up, write

NAMES = {
    "markup of the terminal": "[/bold]focal[red]\\",
    "a formula": r"$\foo$ and $x^{",
    "HTML": '<script>alert(1)</script><img src=x onerror="y">',
    "a table": "a | b\n| c",
    "a link": "[focal](http://127.0.0.1/)",
    "a spreadsheet": "=1+1",
}


def test_names_are_shown_as_they_are_in_every_output(tmp_path, capsys):
    for seed in range(3):
        write(tmp_path, made_up("cross_entropy", seed, 0.8 + seed / 100))
        for number, name in enumerate(NAMES.values()):
            entry = made_up("focal", seed, 0.85 + seed / 90 - number / 200, name=f"name{number}-s{seed}")
            write(tmp_path, {**entry, "loss": name})
    folders, errors = compare_records(comparisons(read_outputs(tmp_path)), tmp_path, Options())
    assert not errors
    (folder,) = folders["made_up"]
    shown = " ".join(capsys.readouterr().out.split())
    report, table = ((folder / name).read_text() for name in ("report.html", "table.md"))
    for kind, name in NAMES.items():
        assert " ".join(name.split())[:8] in shown, kind
        assert f"| {markdown(name)} |" in table, kind
    assert "Not drawn" not in report.partition("The curves of")[0]
    assert "<script>alert" not in report and "<img src=x" not in report and "<" not in table
    assert report.count("<script") == report.count("</script") == 1 + len(SCRIPTS)
    widths = {line.replace(r"\|", "").count("|") for line in table.split("\n\n")[1].splitlines()}
    assert len(widths) == 1


@pytest.mark.parametrize(
    "changes", [{"choices": {"data": "../../outside", "loss": "focal"}}, {"problem": "../../../x"}]
)
def test_no_name_leads_out_of_the_output_folder(changes, tmp_path):
    outputs = tmp_path / "a" / "b" / "outputs"
    witness = tmp_path / "a" / "outside-pppppppp" / "picture.png"
    witness.parent.mkdir(parents=True)
    witness.touch()
    outputs.mkdir(parents=True)
    folder = outputs / "data" / "run"
    entries = [{**made_up("focal", seed, 0.9), **changes, "folder": str(folder)} for seed in range(2)]
    before = set(tmp_path.rglob("*"))
    compare_records(comparisons(entries), outputs, Options())
    made = set(tmp_path.rglob("*")) - before
    assert witness.exists() and made and all(path.is_relative_to(outputs) for path in made)
    assert len([path for path in (outputs / "comparisons").iterdir() if path.is_dir()]) == 1


def test_the_heading_on_the_terminal_is_no_markup():
    entries = [made_up("focal", seed, 0.9, choices={"data": "[/bold]x[", "loss": "focal"}) for seed in range(2)]
    (found,) = comparisons(entries)
    console = Console(width=120, file=io.StringIO())
    tell(analyse(found, Options()), console)
    assert found.name in console.file.getvalue() and found.name == as_file_name("[/bold]x[-pppppppp")
    assert "'=x" in to_csv(analyse(comparisons([{**entry, "loss": "=x"} for entry in entries])[0], Options()))


def test_the_curves_of_a_loss_bear_its_name(tmp_path: Path):
    loss = bind(load_loss("mse").function, {}, {}, "regression")
    paths = draw_loss_curves(dict.fromkeys(NAMES.values(), loss), tmp_path / "curves")
    assert all(path.stat().st_size > 1000 for path in paths)


def test_problems_of_the_same_data_are_called_by_what_differs(tmp_path: Path):
    def runs(lr: float, problem: str, data: str = "made_up") -> list[dict]:
        config = {"optimizer": {"lr": lr, "betas": [0.9, 0.999]}, "seed": 0, "tracking": {"uri": problem}}
        choices = {"data": data, "loss": "focal", "model": "mlp"}
        return [
            made_up(loss, 0, 0.5, problem=problem * 64, choices=choices, config={**config, "loss": {"_target_": loss}})
            for loss in ("cross_entropy", "focal")
        ]

    records = [*runs(0.1, "a"), *runs(0.01, "b"), *runs(0.01, "c", data="other")]
    found = comparisons({**entry, "folder": str(tmp_path)} for entry in records)
    assert [each.title for each in found] == ["made_up, optimizer.lr=0.1", "made_up, optimizer.lr=0.01", "other"]
    assert found[0].heading == "made_up, optimizer.lr=0.1 (made_up-aaaaaaaa)" and found[2].heading == "other-cccccccc"
    folders, errors = compare_records(found[:2], tmp_path, Options())
    assert not errors and len(folders["made_up"]) == 2
    for each, folder in zip(found, folders["made_up"], strict=False):
        assert markdown(each.title) in (folder / "table.md").read_text()
        assert each.title in (folder / "report.html").read_text()

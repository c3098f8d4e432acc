"""What a paper takes: tables and the diagram compiled in two templates, chosen columns, ranks, pictures as PDF."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.numbers.seed_ranks import seed_ranks
from lossbench.compare.present import write_comparison
from lossbench.compare.report.across import rank_across
from lossbench.compare.report.figures.critical_difference import critical_difference
from lossbench.compare.report.figures.drawing import STYLE, save
from lossbench.compare.report.figures.pdf import save_pdf
from lossbench.compare.report.latex_tables import COLUMN, PAGE, to_latex
from lossbench.compare.report.latex_text import flowing, latex, lines_of
from lossbench.compare.report.rank_table import seed_ranks_table
from lossbench.compare.report.tables import means_table
from lossbench.compare.report.tikz import critical_difference_tikz
from lossbench.compare.report.verdict import verdict
from lossbench.compare.report.writers import to_csv, to_markdown, to_rich
from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_one
from lossbench.config.values import check_comparing
from lossbench.errors import ConfigError
from lossbench.tasks.loss_style import style_of
from tests.support.compared import made_up, write

TEMPLATES = {
    # acl.sty is not in TeX Live: an article with its geometry, A4 with two columns of 219 pt on 455 pt, Times in 11 pt
    "acl": r"""\documentclass[11pt,a4paper,twocolumn]{article}
\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{times}
\usepackage[a4paper,top=25mm,bottom=25mm,left=25mm,textwidth=455pt,columnsep=17pt]{geometry}
""",
    "ieee": r"""\documentclass[conference]{IEEEtran}
\usepackage[utf8]{inputenc}
""",
}
NAMES = [
    "focal", "label_smoothing(smoothing=0.1)", "a&b_50%_{x}", "ldam+drw", "$#~^\\ odd_name_", "β-loss [x] “é”",
    "poly_1(epsilon=2.5)+mixup", "averyverylongvariantnamethatcanbebrokennowhereatall",
    "bi_tempered(t1=0.8,t2=1.2)+effective_number", *(f"loss_{k:02d}" for k in range(20)),
]  # fmt: skip
FURTHER = ("accuracy", "macro_f1", "auroc", "brier")


def problem(losses: int, seeds: int = 3, number: int = 0, **options):
    """Make up a comparison of some losses with seven metrics."""
    rng = np.random.default_rng([losses, number])
    entries = []
    for label in ["cross_entropy", *NAMES][:losses]:
        for seed in range(seeds):
            value = float(rng.uniform(0.6, 0.9))
            choices = {"data": f"my_data_{number}", "model": "mlp"}
            entry = made_up("focal", seed, value, variant=label, problem=str(number) * 9, choices=choices)
            entry["key"], entry["config"]["loss"]["gamma"] = f"{label}{seed}", label
            entry["metrics"]["last"] |= {f"test/{name}": value - 0.1 * k for k, name in enumerate(FURTHER)}
            entry["metrics"]["last"] |= {"test/nll": 1 - value, "test/ece": float(rng.uniform(0.01, 0.2))}
            entries.append(entry)
    return analyse(comparisons(entries)[0], Options(**options))


def over_data(losses: int, data_sets: int):
    (found,) = rank_across([problem(losses, number=number) for number in range(data_sets)])
    return found


@pytest.fixture(scope="session")
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None:
        pytest.skip("there is no pdflatex")
    for needed in ("IEEEtran.cls", "booktabs.sty", "tikz.sty", "times.sty", "geometry.sty"):
        if not subprocess.run(["kpsewhich", needed], capture_output=True, check=False).stdout.strip():
            pytest.skip(f"LaTeX has no {needed}")
    return found


def compiled(pdflatex: str, folder: Path, template: str, body: str) -> str:
    """Compile a text in a template, twice for the references; return the log on unbroken lines."""
    document = (
        rf"{TEMPLATES[template]}\usepackage{{booktabs,tikz}}\begin{{document}}Text.{body}\clearpage\end{{document}}"
    )
    (folder / "paper.tex").write_text(document)
    command = ["env", "max_print_line=1000", pdflatex, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / "paper.log").read_text(errors="replace")


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("losses", [3, 8, 20])
def test_tables_and_diagram_fit_a_paper(pdflatex, tmp_path, template, losses):
    across = over_data(losses, 3)
    (tmp_path / "table.tex").write_text(to_latex(across.analyses[0], [across]))
    (tmp_path / "critical_difference.tex").write_text(critical_difference_tikz(across))
    diagram = r"\begin{figure}\centering\input{critical_difference}\caption{Ranks.}\end{figure}"
    log = compiled(pdflatex, tmp_path, template, rf"\input{{table}}{diagram}See Table~\ref{{tab:my-data-0-00000000}}.")
    wide = [float(found) for found in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(wide, default=0.0) <= 1.0
    assert not re.findall(r"Float too large|undefined|multiply defined|Missing character", log)


def test_every_letter_compiles(pdflatex, tmp_path):
    letters = "".join(map(chr, [*range(32, 0x180), *range(0x370, 0x400), 0x2013, 0x2264, 0x6F22, 0x1F600]))
    compiled(pdflatex, tmp_path, "ieee", " ".join(latex(letter) for letter in letters))


@pytest.mark.parametrize("losses", [3, 20])
def test_labels_are_those_of_the_comparison_and_nothing_is_scaled(losses):
    analysis = problem(losses)
    text = to_latex(analysis)
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert labels[0] == "tab:my-data-0-00000000" and "tab:my-data-0-00000000-differences" in labels
    assert "tab:my-data-0-00000000-ranks" in labels and len(labels) == len(set(labels)) == text.count(r"\caption")
    assert "resizebox" not in text and text.count(r"\toprule") == text.count(r"\bottomrule") == len(labels)
    assert text.count(r"\begin{table") == text.count(r"\end{table")


def test_a_wide_table_is_parted_between_groups_of_metrics():
    text = to_latex(problem(8))
    means = [part for part in text.split("\n\n") if re.search(r"label\{tab:my-data-0-0+(-\d)?\}", part)]
    assert len(means) > 1 and r"Continues Table~\ref{tab:my-data-0-00000000}" in means[1]
    headings = [part.split(r"\toprule")[1].split(r"\midrule")[0] for part in means]
    assert not any(name in headings[0] for name in ("NLL", "Brier", "ECE"))
    assert all(name in headings[1] for name in ("NLL", "Brier", "ECE"))
    assert all("cross" in part and "Student" in means[0] for part in means) and "Student" not in means[1]
    few = to_latex(problem(3, columns=["balanced_accuracy"])).split("\n\n")[1]
    assert few.startswith(r"\begin{table}[t]") and COLUMN < 219 < PAGE < 455


def test_a_long_table_goes_on_in_another():
    rows = [text for text in to_latex(problem(29, seeds=2)).split("\n\n") if "-epochs" in text]
    assert rows and all(part.count("\n") < 70 for part in rows)


def test_names_are_broken_where_their_parts_end():
    assert lines_of("label_smoothing(smoothing=0.1)+drw", 8.0) == ["label_smoothing", "(smoothing=0.1)", "+drw"]
    assert "".join(lines_of("x" * 50, 8.0)) == "x" * 50 and max(map(len, lines_of("x" * 50, 8.0))) == 15
    assert flowing("Student-t (a test)") == "Student-t (a test)"


class TestColumns:
    def test_tables_show_what_is_asked_for(self):
        usual, chosen = problem(4), problem(4, columns=["ece", "recall/3"])
        assert means_table(chosen).heading[3:] == ["balanced accuracy", "ECE", "recall, class 3"]
        assert len(means_table(usual).heading[3:]) == 7
        console = Console(width=160, file=io.StringIO())
        console.print(to_rich(chosen, 160))
        for text in (console.file.getvalue(), to_markdown(chosen), to_latex(chosen)):
            assert "recall, class 3" in text.replace(r" \\ ", " ") and "Brier" not in text

    def test_neither_verdict_nor_csv_changes(self):
        usual, chosen = problem(4), problem(4, columns=["ece"])
        assert to_csv(usual) == to_csv(chosen) and verdict(usual) == verdict(chosen)

    @pytest.mark.parametrize(
        ("columns", "told"),
        [
            (["ece", "nl"], r"compare\.columns=nl was not recorded for my_data_0\. Nearest: nll"),
            ([], r"compare\.columns=\[\]"),
            ("ece", r"compare\.columns=ece is not known; give a list"),
        ],
    )
    def test_mistakes_are_told(self, columns, told):
        with pytest.raises(ConfigError, match=told):
            problem(3, columns=columns)

    @pytest.mark.parametrize("columns", ["ece", "[]", "[1]"])
    def test_mistakes_of_the_command_are_told(self, columns):
        arguments = parse_arguments([f"compare.columns={columns}"])
        arguments.config_name = "comparison"
        with pytest.raises(ConfigError, match=r"compare\.columns=.* allowed is a list of 1 or more"):
            check_comparing(compose_one(arguments))

    def test_mistakes_of_a_sweep_are_told_before_it_runs(self, cell):
        cell("compare.columns=[accuracy,ece,recall/3]")
        with pytest.raises(ConfigError, match=r"compare\.columns=acuracy is not known. Nearest: accuracy"):
            cell("compare.columns=[ece,acuracy]")


class TestSeedRanks:
    @pytest.mark.parametrize(("metric", "sign"), [("balanced_accuracy", -1), ("ece", 1)])
    def test_against_counted_wins(self, metric, sign):
        """A mean rank is 1, and the mean over seeds of how many are better and half of how many are equal."""
        analysis = problem(6, seeds=4)
        found = seed_ranks(analysis, metric)
        values = {label: [analysis.values(label, metric)[seed] for seed in range(4)] for label in found.ranks}
        for label, own in values.items():
            others = np.array([other for name, other in values.items() if name != label])
            better, equal = sign * others < sign * np.array(own), others == np.array(own)
            assert found.ranks[label] == pytest.approx(1 + (better + 0.5 * equal).sum(axis=0).mean())
        assert found.n == 4 and sum(found.ranks.values()) == pytest.approx(6 * 7 / 2)

    def test_losses_without_all_seeds_are_not_ranked_and_told(self):
        entries = [made_up(loss, seed, 0.8 + 0.01 * seed) for loss in ("cross_entropy", "focal") for seed in range(3)]
        entries += [made_up("gce", seed, 0.5, status="diverged" if seed == 1 else "finished") for seed in range(3)]
        analysis = analyse(comparisons(entries)[0], Options())
        assert seed_ranks(analysis, "balanced_accuracy").ranks == {"cross_entropy": 1.5, "focal": 1.5}
        assert "Not ranked: gce." in seed_ranks_table(analysis).caption

    def test_one_seed_or_one_loss_has_no_ranks(self):
        for analysis in (problem(3, seeds=1), problem(1, seeds=3)):
            assert seed_ranks(analysis, "nll") is None and not seed_ranks_table(analysis).rows
            assert "mean rank" not in to_latex(analysis) and "mean rank" not in to_markdown(analysis)

    def test_the_csv_has_them(self):
        analysis = problem(5)
        rows = list(csv.DictReader(io.StringIO(to_csv(analysis))))
        ranks = {row["loss"]: float(row["mean_rank"]) for row in rows if row["metric"] == "nll"}
        table = [[analysis.values(label, "nll")[seed] for label in ranks] for seed in range(3)]
        assert list(ranks.values()) == pytest.approx(stats.rankdata(table, axis=1).mean(axis=0))


def test_the_diagram_has_the_ranks_and_cliques_of_the_picture():
    across = over_data(5, 4)
    text = critical_difference_tikz(across)
    drawn = re.findall(r"\\draw\[cd, semithick\] \(([\d.]+),0\)", text)
    assert sorted(map(float, drawn)) == pytest.approx(sorted(across.summary.ranks), abs=1e-4)
    bars = [clique for clique in across.pairwise.cliques if len(clique) > 1]
    assert text.count("very thick") == len(bars) and text.count("circle") == sum(map(len, bars))
    assert all(style_of(label).color[1:].upper() in text for label in across.labels)
    assert text.count(r"\begin") == text.count(r"\end") == 1


def test_pictures_as_pdf_are_the_same_bytes_again(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        picture = critical_difference(over_data(3, 2))
        with matplotlib.rc_context(STYLE):
            save(picture, tmp_path / name)
            save_pdf(picture, tmp_path / name)
    content = (tmp_path / "one" / "critical_difference.pdf").read_bytes()
    assert content == (tmp_path / "two" / "critical_difference.pdf").read_bytes()
    assert b"CreationDate" not in content and b"/CIDFontType2" in content and b"/Type3" not in content


def test_files_of_a_comparison(tmp_path):
    entries = [made_up(loss, seed, 0.7 + 0.05 * seed) for loss in ("cross_entropy", "focal") for seed in range(2)]
    for entry in entries:
        write(tmp_path, entry)
    (comparison,) = comparisons(read_outputs(tmp_path))
    report = tmp_path / "report"
    report.mkdir()
    (report / "older.pdf").touch()
    (report / "critical_difference.tex").touch()
    write_comparison(analyse(comparison, Options(pdf=True)), report, [])
    drawn, as_pdf = ({path.stem for path in report.glob(f"*.{ending}")} for ending in ("svg", "pdf"))
    assert as_pdf == drawn and "loss_curves" in drawn and not (report / "critical_difference.tex").exists()
    for path in report.glob("*.pdf"):
        content = path.read_bytes()
        assert b"CreationDate" not in content and b"/CIDFontType2" in content and b"/Type3" not in content

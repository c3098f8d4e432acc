"""Judge the advice by problems with a known answer: how far its estimates are off.

Each row is a problem under one seed: its kind of corruption, the truth, the estimate, the error, and whether it is
within the target: .05 of symmetric noise of a rate from .1 to .6 and of contamination, .08 of asymmetric noise, for at
least 5,000 samples of noise. Rows without a target say "-". The summary has the mean and the largest error by source
and kind. Seeds 1 to 99 were for choosing thresholds and probes, those from 100 on are for reporting. The short list is
judged by `scripts/advice_lists.py`.

  python scripts/advice_truth.py --estimates                    some minutes
  python scripts/advice_truth.py --estimates --seeds 100 101    other seeds
  python scripts/advice_truth.py --estimates --sources mnist diabetes
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lossbench.advise.findings import look
from lossbench.data import DataModule
from lossbench.data.files import DataError
from lossbench.data.sources import source as sources
from lossbench.data.sources.source import Source

NOISE = [("none", 0.0), *(("symmetric", rate) for rate in (0.1, 0.2, 0.4, 0.6))]
NOISE += [(kind, rate) for kind in ("pair", "asymmetric", "instance") for rate in (0.1, 0.2, 0.4)]
TARGETS = {"symmetric": 0.05, "pair": 0.08, "asymmetric": 0.08, "vertical": 0.05, "imbalance": 0.05}
CLASSES = {"mnist": 5000, "made_2": 5000, "made_5": 5000, "made_10": 5000, "digits": None, "breast_cancer": None}
NUMBERS = ("outliers", "curve", "heteroscedastic", "diabetes", "made_numbers")


@dataclass(frozen=True)
class Row:
    """An estimate and the truth."""

    source: str
    kind: str
    setting: str
    seed: int
    what: str
    truth: float
    estimate: float
    target: float | None
    note: str = ""

    @property
    def error(self) -> float:
        """How far the estimate is off."""
        return self.estimate - self.truth


def main() -> None:
    """Print a row for each problem, then the errors by source and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--estimates", action="store_true", help="how far estimates are off")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--sources", nargs="+", default=[*CLASSES, *NUMBERS], choices=[*CLASSES, *NUMBERS])
    args = parser.parse_args()
    if not args.estimates:
        parser.error("say what is to be judged: --estimates")
    print(f"{'source':16}{'kind':16}{'setting':24}{'seed':>5}  {'what':17}{'truth':>7}{'found':>7}{'error':>7}  within")
    rows = []
    for name in args.sources:
        for seed in args.seeds:
            problems = of_classes(name, seed) if name in CLASSES else of_numbers(name, seed)
            try:
                for row in problems:
                    rows.append(row)
                    print(line(row), flush=True)
            except DataError as missing:
                print(f"{name}: left out, its files are missing ({missing.args[0].splitlines()[0]})")
                break
    summary(rows)


def line(row: Row) -> str:
    """Return a row of the table."""
    within = "-" if row.target is None else "yes" if abs(row.error) <= row.target else "NO"
    return (
        f"{row.source:16}{row.kind:16}{row.setting:24}{row.seed:5}  {row.what:17}{row.truth:7.3f}{row.estimate:7.3f}"
        f"{row.error:+7.3f}  {within:4}{row.note}"
    )


def summary(rows: list[Row]) -> None:
    """Print mean and largest error by source, kind and what is estimated, and how many are within their target."""
    groups = defaultdict(list)
    for row in rows:
        groups[row.source, row.kind, row.what].append(row)
    print(f"\n{'source':16}{'kind':16}{'what':17}{'rows':>5}{'bias':>8}{'mean |e|':>9}{'max |e|':>9}  within")
    for (source, kind, what), some in groups.items():
        errors = np.array([row.error for row in some])
        judged = [abs(row.error) <= row.target for row in some if row.target is not None]
        within = f"{sum(judged)} of {len(judged)}" if judged else "-"
        size = np.abs(errors)
        sizes = f"{errors.mean():+8.3f}{size.mean():9.3f}{size.max():9.3f}"
        print(f"{source:16}{kind:16}{what:17}{len(some):5}{sizes}  {within}")


def of_classes(name: str, seed: int) -> Iterator[Row]:
    """Look at classes with noise of each kind and rate, balanced and with an imbalance of up to 200."""
    size, kinds = CLASSES[name], NOISE
    for kind, rate in kinds:
        if name in ("made_2", "breast_cancer") and (rate > 0.4 or kind in ("pair", "asymmetric")):
            continue  # of two classes each kind flips to the other one
        if name.startswith("made_") and kind == "asymmetric":
            continue  # which class is mistaken for which is known of digits
        yield class_row(name, seed, kind, rate, size, {"kind": "none"}, kind)
    for factor in (10, 50, 200) if name in ("mnist", "made_10") else ():
        heads = {"kind": "exp", "factor": factor, "max_count": 2500}
        for kind, rate in (("none", 0.0), ("symmetric", 0.2), ("symmetric", 0.4), ("pair", 0.2)):
            yield class_row(name, seed, kind, rate, None, heads, "imbalance")


def class_row(
    name: str, seed: int, kind: str, rate: float, size: int | None, imbalance: dict[str, Any], group: str
) -> Row:
    """Look at one problem of classes."""
    noise = {"kind": kind} | ({"rate": rate, "family": "exact"} if kind != "none" else {})
    task = "binary" if name in ("made_2", "breast_cancer") else "multiclass"
    data = prepared(name, task, seed, noise=noise, imbalance=imbalance, max_train=size)
    parts = [data.train_dataloader().samples, data.evaluation_loaders["val"].samples]
    wrong = float(np.mean(np.concatenate([(part.target != part.target_clean).numpy() for part in parts])))
    found = look(data)
    enough = sum(len(part.index) for part in parts) >= 5000 and rate > 0
    target = TARGETS.get(group) if enough else None
    if group == "imbalance":
        target = (0.08 if kind == "pair" else 0.05) if enough else None
    setting = f"{kind} {rate:g}" + (f", 1:{imbalance['factor']}" if "factor" in imbalance else "")
    note = f" probe {found['accuracy_probe'].value:.2f}, asymmetry {found['wrong_labels_asymmetry'].value:.2f}"
    note += ", at most" * int(found["wrong_labels_at_most"].value == 1)
    return Row(name, group, setting, seed, "wrong_labels", wrong, number(found, "wrong_labels"), target, note)


def of_numbers(name: str, seed: int) -> Iterator[Row]:
    """Look at numbers with contamination of each kind, share and side."""
    cases: list[dict[str, Any]] = [{"kind": "none"}]
    for shift in ("one_sided", "symmetric"):
        cases += [{"kind": "vertical", "fraction": f, "scale": 5.0, "shift": shift} for f in (0.05, 0.1, 0.2, 0.3)]
    cases += [{"kind": "vertical", "fraction": 0.1, "scale": 2.0, "shift": "one_sided"}]
    cases += [{"kind": "heavy_tail", "fraction": 1.0, "scale": 0.3, "df": df} for df in (2.0, 4.0)]
    cases += [{"kind": "heteroscedastic", "fraction": 1.0, "scale": 1.0}]
    cases += [{"kind": "leverage", "fraction": f, "scale": 5.0} for f in (0.1, 0.3)]
    for case in cases:
        yield from number_rows(name, seed, case)


def number_rows(name: str, seed: int, case: dict[str, Any]) -> Iterator[Row]:
    """Look at one problem of numbers."""
    data, kind = prepared(name, "regression", seed, contamination=case), case["kind"]
    found = look(data)
    setting = " ".join(str(case[key]) for key in ("fraction", "scale", "shift", "df") if key in case)
    note = f" side {found['outliers_side'].value:+.2f}, df {found['tails'].value:.1f}, "
    note += f"spread {found['spread_grows'].value:.2f}"
    if kind == "leverage":
        truth = case["fraction"]
        yield Row(name, kind, setting, seed, "outliers_inputs", truth, number(found, "outliers_inputs"), 0.05, note)
        return
    truth = case["fraction"] if kind == "vertical" else 0.0
    if kind == "none":
        yield Row(name, kind, setting, seed, "outliers_inputs", 0.0, number(found, "outliers_inputs"), None)
    yield Row(name, kind, setting, seed, "outliers", truth, number(found, "outliers"), TARGETS.get(kind), note)
    if kind == "vertical":
        side = 1.0 if case["shift"] == "one_sided" else 0.0
        yield Row(name, kind, setting, seed, "outliers_side", side, number(found, "outliers_side"), None)
    if kind == "heavy_tail":
        yield Row(name, kind, setting, seed, "1 / tails", 1 / case["df"], 1 / number(found, "tails"), None)


def number(found: dict[str, Any], name: str) -> float:
    """Return the value of a finding."""
    return float(found[name].value)


def prepared(name: str, task: str, seed: int, **settings: Any) -> DataModule:
    """Return data after setup, of a source of lossbench's or one that is made here."""
    source = name
    if name.startswith("made_"):  # the data module asks for a source by name, and gets this one
        source = "diabetes" if name == "made_numbers" else "breast_cancer" if name == "made_2" else "digits"
    data = DataModule(source, task, seed=seed, run_seed=seed, **settings)
    if name.startswith("made_"):
        from lossbench.data import module

        kept = module.load_source
        setattr(module, "load_source", lambda *_, **__: made(name, seed))  # noqa: B010
        try:
            data.setup()
        finally:
            setattr(module, "load_source", kept)  # noqa: B010
    else:
        data.setup()
    return data


@cache
def made(name: str, seed: int) -> Source:
    """Make a source: overlapping clusters of 2, 5 or 10 classes in 20 dimensions, or Friedman's function of 10."""
    from sklearn.datasets import make_classification, make_friedman1

    if name == "made_numbers":
        inputs, target = make_friedman1(6000, 10, noise=1.0, random_state=seed)
        return sources.split(inputs, target, np.arange(1000), task="regression")
    classes = int(name.removeprefix("made_"))
    count = 26000 if classes == 10 else 7000  # so many that an imbalanced head has 2,500
    inputs, target = make_classification(
        count, 20, n_informative=8, n_redundant=4, n_classes=classes, n_clusters_per_class=2,
        class_sep=1.5 if classes == 10 else 1.0, flip_y=0, random_state=seed,
    )  # fmt: skip
    task = "binary" if classes == 2 else "multiclass"
    return sources.split(inputs, target, np.arange(1000), task=task, names=map(str, range(classes)))


if __name__ == "__main__":
    main()

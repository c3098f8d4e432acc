"""How fast lossbench is: against a bare PyTorch loop, against one process per run, and as a comparison grows.

Prints tables in Markdown to stdout and progress to stderr. What is compared with each other runs in turn on the same
machine, in an order that is reversed from one repeat to the next, in temporary folders that are removed. The parts:

  epoch    samples per second of one lossbench run, evaluation left out, and of a bare loop over the same batches
  sweep    wall time of a whole `python -m lossbench -m ...` with MLflow and report, engine=packed and engine=stacked,
           and of scripts/plain_baseline.py (Hydra, a Trainer and an MLFlowLogger in a process of its own for each run)
  growth   time and memory of stacked training by the number of runs, and by the number of training samples
  again    a command whose 100 runs are done, called again

The plain baseline runs its processes one after the other, so only some of them are measured (--plain-runs, different
cells in turn) and their median is multiplied by the number of runs; the table says so. Examples:

  LOSSBENCH_DATA=DIR python scripts/benchmark.py --output speed.md
  LOSSBENCH_DATA=DIR python scripts/benchmark.py --parts sweep --cases mnist --epochs 1 --precisions 32-true
  python scripts/benchmark.py --parts sweep again --cases outliers --repeats 1 --losses 2 --seeds 1 --epochs outliers=5
"""

import argparse
import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
import torch.nn.functional as F

from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_cells
from lossbench.data.files import FILES, missing_files
from lossbench.records.record import read
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer
from lossbench.running.callbacks import Cost
from lossbench.running.job import keep_freed_memory
from lossbench.running.stacks import run_stack
from lossbench.running.trainer import quiet

SCRIPTS = Path(__file__).resolve().parent
VARIANTS = ["plain", "packed", "stacked"]
PRECISIONS = ["32-true", "bf16-mixed"]
fresh_folder = partial(tempfile.TemporaryDirectory, prefix="lossbench-", ignore_cleanup_errors=True)
MAKE_STORE = "import mlflow; mlflow.MlflowClient('sqlite:///mlflow.db').create_experiment('first')"
"""The plain baseline's database is made beforehand: it is work of a second or two that must not be multiplied."""
Settings = argparse.Namespace
Table = Iterator[Sequence[str]]
"""The header of a table, then its rows, each as soon as it is measured."""


@dataclass(frozen=True)
class Case:
    """A model, losses, seeds and epochs of its sweep; data, epochs and training samples of its single run."""

    model: str
    losses: list[str]
    seeds: int
    epochs: int
    single: str
    single_epochs: int
    single_samples: int


REGRESSION = ["mse", "mae", "huber", "log_cosh", "cauchy", "tukey", "l2", "quantile"]
CLASSES = ["cross_entropy", "focal", "label_smoothing", "gce", "balanced_softmax", "class_balanced"]
LONG_TAIL = ["cross_entropy", "focal", "label_smoothing", "balanced_softmax", "logit_adjustment", "class_balanced"]
CASES = {
    "outliers": Case("MLP", REGRESSION, 5, 60, "outliers", 100, 1_000),
    "mnist": Case("LeNet", CLASSES, 3, 3, "mnist", 1, 60_000),
    "cifar_imb": Case("ResNet-32", LONG_TAIL, 3, 1, "cifar10", 1, 5_000),
}


def epoch_table(settings: Settings) -> Table:
    """Measure one run of each case against a bare loop, in this process."""
    quiet()
    keep_freed_memory()  # as in every process of lossbench; here the bare loop gains from it too
    torch.set_num_threads(settings.threads)
    yield "model", "data", "data.max_train x epochs", "bare loop, samples/s", "lossbench, samples/s", "lossbench / bare"
    for case in (CASES[name] for name in settings.cases):
        samples = min(case.single_samples, settings.max_train or case.single_samples)
        lines = [f"data={case.single}", "data.max_test=500", "tracking=none"]
        (cell,) = composed([*lines, f"data.max_train={samples}", f"trainer.max_epochs={case.single_epochs}"])
        our_rate(*composed([*lines, "data.max_train=1000", "trainer.max_epochs=1"]))  # to warm up
        rates = alternate({"bare": partial(bare_rate, cell), "ours": partial(our_rate, cell)}, settings, case.model)
        ratio = median(rates["ours"]) / median(rates["bare"])
        size = f"{samples:,} x {case.single_epochs}"
        yield case.model, case.single, size, spread(rates["bare"], 0), spread(rates["ours"], 0), f"{ratio:.2f}"


def composed(overrides: Sequence[str]) -> list[Any]:
    """Compose the cells of a command line, as lossbench does."""
    return compose_cells(parse_arguments(overrides))


def bare_rate(cell: Any) -> float:
    """Train with a plain loop on a run's batches, network and optimizer; return samples per second."""
    data = build_data(cell.config.data)
    learner, loader = build_learner(cell, data), data.train_dataloader()
    network, criterion = learner.network, F.mse_loss if data.task == "regression" else F.cross_entropy
    optimizer = learner.optimizer_factory(network.parameters())
    samples, started = 0, time.perf_counter()
    for epoch in range(cell.config.trainer.max_epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            criterion(network(batch.inputs), batch.target).backward()
            optimizer.step()
            samples += len(batch.target)
    return samples / (time.perf_counter() - started)


def our_rate(cell: Any) -> float:
    """Train as a run does; return samples per second without evaluation."""
    data, cost = build_data(cell.config.data), Cost()
    with fresh_folder() as folder:
        build_trainer(cell.config.trainer, [cost], Path(folder)).fit(build_learner(cell, data), datamodule=data)
    return cost.samples / cost.training_seconds


def sweep_table(settings: Settings) -> Table:
    """Measure whole comparisons."""
    yield (
        "data", "model", "precision", "runs x epochs", "plain, s: one process", "plain, s: all runs, extrapolated",
        "packed, s", "stacked, s", "plain / packed", "plain / stacked", "packed / stacked",
    )  # fmt: skip
    for name in settings.cases:
        for precision in settings.precisions if name != "outliers" else PRECISIONS[:1]:
            yield sweep_row(settings, name, precision)


def sweep_row(settings: Settings, name: str, precision: str) -> list[str]:
    """Measure one comparison in every variant."""
    case = CASES[name]
    losses, seeds = case.losses[: settings.losses], list(range(settings.seeds or case.seeds))
    epochs = settings.epochs.get(name, settings.epochs.get("", case.epochs))
    cells = [(loss, seed) for seed in seeds for loss in losses]
    limits = [f"{key}={getattr(settings, key)}" for key in ("max_train", "max_test") if getattr(settings, key)]
    swept = [f"data={name}", f"loss={','.join(losses)}", f"seed={','.join(map(str, seeds))}"]
    swept += [f"trainer.max_epochs={epochs}", f"trainer.precision={precision}", *(f"data.{each}" for each in limits)]
    plain = [f"data={name}", f"epochs={epochs}", f"precision={precision}", *limits]
    with fresh_folder() as folder:
        count, in_turn = min(settings.plain_runs, len(cells)), cycle(cells)
        jobs: dict[str, Callable[[], Any]] = {
            "plain": lambda: [plain_seconds(Path(folder), plain, next(in_turn)) for _ in range(count)],
            "packed": partial(sweep_seconds, swept, "packed"),
            "stacked": partial(sweep_seconds, swept, "stacked"),
        }
        jobs = {variant: job for variant, job in jobs.items() if variant in settings.variants}
        if "plain" in jobs:
            run(["-c", MAKE_STORE], Path(folder))
        seconds = alternate(jobs, settings, f"{name} {precision}")
    total = {variant: median(values) for variant, values in seconds.items() if variant != "plain"}
    shown = {variant: spread(seconds[variant]) for variant in total}
    if "plain" in seconds:
        alone = [value for values in seconds["plain"] for value in values]
        total["plain"], shown["one"] = len(cells) * median(alone), spread(alone)
        shown["plain"] = f"{total['plain']:,.0f} = {len(cells)} x median of {len(alone)}"
    ratios = [("plain", "packed"), ("plain", "stacked"), ("packed", "stacked")]
    return [
        name, case.model, precision, f"{len(losses)} losses x {len(seeds)} seeds x {epochs}",
        *(shown.get(each, "-") for each in ("one", "plain", "packed", "stacked")),
        *(f"{total[a] / total[b]:.2f}" if a in total and b in total else "-" for a, b in ratios),
    ]  # fmt: skip


def plain_seconds(folder: Path, overrides: Sequence[str], cell: tuple[str, int]) -> float:
    """Run one process of the plain baseline; return its wall time."""
    script, (loss, seed) = str(SCRIPTS / "plain_baseline.py"), cell
    say(f"  loss={loss} seed={seed}")
    return run([script, *overrides, f"loss={loss}", f"seed={seed}"], folder)


def sweep_seconds(overrides: Sequence[str], engine: str) -> float:
    """Run a comparison in a fresh folder; return the wall time of the whole command."""
    with fresh_folder() as folder:
        seconds = run(["-m", "lossbench", "-m", *overrides, f"engine={engine}"], Path(folder))
        records = [json.loads(path.read_bytes()) for path in Path(folder).glob("outputs/*/*/record.json")]
    if used := {record["engine"]["name"] for record in records} - {engine}:
        raise SystemExit(f"error: engine={engine}, but some runs were {', '.join(used)}: {' '.join(overrides)}")
    return seconds


def growth_table(settings: Settings) -> Table:
    """Measure stacks of more and more runs, then of four runs on more and more data."""
    yield "model, data", "runs", "samples of each", "epochs", "seconds", "seconds / run", "peak MB", "MB at the start"
    limit = [f"data.max_train={settings.max_train}"] if settings.max_train else []
    for runs in settings.growth_runs:
        losses = REGRESSION[:runs]
        seeds = ",".join(map(str, range(max(1, runs // len(losses)))))
        lines = ["data=outliers", f"loss={','.join(losses)}", f"seed={seeds}", *limit]
        yield growth_row(settings, "MLP, outliers", settings.growth_epochs, lines)
    for samples in settings.growth_samples:
        lines = ["data=mnist", "model=mlp", "loss=cross_entropy,focal", "seed=0,1", f"data.max_train={samples}"]
        yield growth_row(settings, "MLP, mnist", 2, [*lines, "data.max_test=1000"])


def growth_row(settings: Settings, shown: str, epochs: int, overrides: list[str]) -> list[str]:
    """Train a stack in processes of its own."""
    job = partial(in_own_process, ["-m", *overrides, f"trainer.max_epochs={epochs}", "tracking=none"])
    measured = alternate({"stacked": job}, settings, " ".join(overrides))["stacked"]
    runs, samples, seconds, before, peak = (median(values) for values in zip(*measured, strict=True))
    counts = [f"{runs:.0f}", f"{samples:,.0f}", f"{epochs}"]
    return [shown, *counts, f"{seconds:.2f}", f"{seconds / runs:.3f}", f"{peak:.0f}", f"{before:.0f}"]


def in_own_process(overrides: Sequence[str]) -> tuple[float, ...]:
    """Train a stack in a new process; return runs, samples, seconds, memory at the start and peak memory in MB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with fresh_folder() as folder:
        process = context.Process(target=train_stack, args=(there, [*overrides, f"output_dir={folder}"]))
        process.start()
        there.close()
        watched, peak = psutil.Process(process.pid), 0
        try:
            while not here.poll(0.02):
                peak = max(peak, watched.memory_info().rss)
            return (*here.recv(), peak / 2**20)
        except (EOFError, psutil.Error):
            raise SystemExit(f"error: the process that trains {' '.join(overrides)} died") from None
        finally:
            process.terminate()
            process.join()


def train_stack(connection: Connection, overrides: Sequence[str]) -> None:
    """Train a stack as a worker does, and tell what it took."""
    keep_freed_memory()
    cells = composed(overrides)
    before, started = psutil.Process().memory_info().rss, time.perf_counter()
    run_stack(cells, threads=1)
    seconds = time.perf_counter() - started
    entries = [read(cell.path) or {"status": "missing"} for cell in cells]
    if any(entry["status"] != "finished" or entry["engine"]["name"] != "stacked" for entry in entries):
        raise SystemExit(f"error: not all runs have finished in a stack: {' '.join(overrides)}")
    connection.send((len(cells), entries[0]["data"]["sizes"]["train"], seconds, before / 2**20))


def again_table(settings: Settings) -> Table:
    """Make a comparison of 100 tiny runs, then call the same command again."""
    swept = [f"loss={','.join(CLASSES[:5])}", f"seed={','.join(map(str, range(20)))}"]
    command = ["-m", "lossbench", "-m", *swept, "data=digits_imb", "model.hidden=[8]", "trainer.max_epochs=1"]
    yield "runs", "first call, s", "the same call again, s"
    with fresh_folder() as folder:
        say("100 runs: first call")
        first = run(command, Path(folder))
        again = alternate({"again": partial(run, command, Path(folder))}, settings, "100 runs")["again"]
    yield "100", f"{first:.1f}", spread(again)


def alternate(jobs: dict[str, Callable[[], Any]], settings: Settings, shown: str) -> dict[str, list[Any]]:
    """Do every job once in each repeat, in an order that is reversed from one repeat to the next."""
    results: dict[str, list[Any]] = {name: [] for name in jobs}
    for repeat in range(settings.repeats):
        for name in list(jobs)[:: -1 if repeat % 2 else 1]:
            say(f"{shown}: {name}, repeat {repeat + 1} of {settings.repeats}")
            results[name].append(jobs[name]())
    return results


def run(arguments: Sequence[str], folder: Path) -> float:
    """Run Python as a user would, in a folder; return the wall time, or stop with what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**kept, "PYTHONPATH": str(SCRIPTS.parent), "MLFLOW_DISABLE_TELEMETRY": "true"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise SystemExit(f"error: exit code {done.returncode} of: python {' '.join(arguments)}\n{said}")
    return seconds


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return median and range."""
    shown, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return shown if len(values) == 1 else f"{shown} ({low} to {high})"


def say(text: str) -> None:
    """Show progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def machine() -> str:
    """Say in general terms what is measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    memory, load = psutil.virtual_memory().total / 2**30, psutil.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}, {memory:.0f} GB; "
        f"Python {platform.python_version()}, torch {torch.__version__}; load {load:.1f} at the start"
    )


PARTS: dict[str, tuple[str, Callable[[Settings], Table]]] = {
    "epoch": ("One run and a bare loop on the same batches, {threads} thread(s) of torch, no evaluation", epoch_table),
    "sweep": ("A whole comparison, and one plain process after another (extrapolated as its column says)", sweep_table),
    "growth": ("Stacked training in one process as it grows", growth_table),
    "again": ("A comparison that is done, called again", again_table),
}


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def read_settings() -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [OPTIONS]", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option, names = partial(parser.add_argument, metavar="N", type=positive), partial(parser.add_argument, nargs="+")
    names("--parts", choices=PARTS, default=list(PARTS), help="what to measure (all)")
    names("--cases", choices=CASES, default=list(CASES), help="epoch, sweep: which data (all)")
    names("--variants", choices=VARIANTS, default=VARIANTS, help="sweep: what to compare (all)")
    names("--precisions", choices=PRECISIONS, default=PRECISIONS, help="sweep: of the images (both)")
    names("--epochs", default=[], metavar="[CASE=]N", help="sweep: for all cases or for one (60, 3 and 1)")
    option("--losses", help="sweep: take the first N losses of each case (8, 6 and 6)")
    option("--seeds", help="sweep: take N seeds (5, 3 and 3)")
    option("--max-train", help="keep at most N training samples")
    option("--max-test", help="sweep: keep at most N test samples")
    option("--repeats", default=3, help="measure everything N times (3)")
    option("--plain-runs", default=2, help="sweep: processes of the plain baseline in each repeat (2)")
    option("--threads", default=1, help="epoch: threads of torch (1); sweeps leave them to each variant")
    option("--growth-runs", nargs="+", default=[1, 4, 16, 64, 256], help="sizes of the stacks (1 4 16 64 256)")
    option("--growth-samples", nargs="*", default=[1000, 4000, 16000, 60000], help="samples (1000 4000 16000 60000)")
    option("--growth-epochs", default=20, help="epochs of the stacks that grow in runs (20)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the tables to this file too")
    settings = parser.parse_args()
    given = [entry.rpartition("=") for entry in settings.epochs]
    if not all(name in ("", *CASES) and number.isdigit() for name, _, number in given):
        parser.error("--epochs: whole numbers, such as: --epochs 2, or --epochs outliers=60 mnist=3")
    settings.epochs = {name: int(number) for name, _, number in given}
    require_data(parser, settings)
    return settings


def require_data(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """Stop with a message if files of MNIST or CIFAR-10 are needed and not there."""
    cases = settings.cases if {"epoch", "sweep"} & {*settings.parts} else []
    grows = "growth" in settings.parts and settings.growth_samples
    needed = {"mnist": "mnist" in cases or grows, "cifar10": "cifar_imb" in cases}
    root = os.environ.get("LOSSBENCH_DATA", "")
    missing = [name for name in needed if needed[name] and (not root or missing_files(FILES[name], Path(root)))]
    if missing:
        parser.error(
            f"the files of {' and '.join(missing)} are needed, but LOSSBENCH_DATA is {root or 'not set'}. Set it to "
            "the folder that holds MNIST/raw and cifar-10-batches-py, or do without: --cases outliers --growth-samples"
        )


def main() -> None:
    """Measure, and print each row as soon as there is one."""
    settings = read_settings()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that folders and processes do not stay behind
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)
        if settings.output is not None:
            settings.output.write_text("\n".join([*lines, ""]), encoding="utf-8")

    tell(f"{machine()}. Medians of {settings.repeats} repeats, with the range in brackets.")
    for part in settings.parts:
        title, table = PARTS[part]
        tell(f"\n### {title.format(threads=settings.threads)}\n")
        for number, row in enumerate(table(settings)):
            tell(f"| {' | '.join(row)} |")
            if number == 0:
                tell("|---" * len(row) + "|")


if __name__ == "__main__":
    main()

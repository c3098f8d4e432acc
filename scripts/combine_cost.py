"""What a way to combine the terms of a loss costs: time of a step and peak memory, against their plain sum.

A network of a trunk and a head for each term is trained by Adam on one batch. The methods take turns, in an order that
is reversed from one repeat to the next; a ratio is that of the medians. What is timed is a whole step: both passes,
what the history notes, the step of the optimizer, and the second look at the batch that FAMO takes. The looks at the
gradients that methods by value take four times an epoch are not in it: each costs a backward pass for each term. Time
is that of the processor, which bears a loaded machine, on a GPU that of a clock. The row `separate` is the sum by a
backward pass for each term; in brackets is the time of a method by gradient against it. Memory is the peak of a process
of its own beyond what it had before the first step, or that of the GPU where there is one; gradients and the moments of
Adam are in it. Prints a table in Markdown.

  python scripts/combine_cost.py                                   two minutes on a core
  python scripts/combine_cost.py --batch 1024 --methods pcgrad mgda upgrad graddrop
  python scripts/combine_cost.py --terms 2 8 --methods pcgrad famo --hidden 256 --repeats 5
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.learners.combining import SEEN, Combining
from lossbench.locate import locate, own_choices
from lossbench.models import MLP

PLAIN, SEPARATE = "sum", "separate"
"""The sum, and the sum by a backward pass for each term, which methods by gradient need, too."""


class Net(nn.Module):
    """A trunk with a head for each term, of which each compares with targets of its own."""

    def __init__(self, terms: int, method: str, hidden: int, inputs: int, batch: int, device: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        trunk = MLP([inputs], hidden=[hidden, hidden, hidden])
        heads = nn.ModuleList([nn.Linear(hidden, 10) for _ in range(terms)])
        self.network: Any = nn.ModuleDict({"trunk": trunk, "heads": heads})
        self.inputs, self.targets = torch.randn(batch, inputs), torch.randint(10, (terms, batch))
        self.combining: Combining | None = None
        self.separate = method == SEPARATE
        if method not in (PLAIN, SEPARATE):
            names = [f"term_{each}" for each in range(terms)]
            self.combining = Combining(locate(f"lossbench.methods.combining.{method}")(terms=names), names)
        self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters())

    def terms(self) -> list[Tensor]:
        """Return the mean of each term."""
        features = self.network["trunk"](self.inputs)
        pairs = zip(self.network["heads"], self.targets, strict=True)
        return [nn.functional.cross_entropy(head(features), target) for head, target in pairs]

    def step(self) -> None:
        """Train one step."""
        self.optimizer.zero_grad()
        values, combining = self.terms(), self.combining
        if combining is None:
            for value in values if self.separate else [torch.stack(values).sum()]:
                value.backward(retain_graph=value is not values[-1])
            self.optimizer.step()
            return
        value = combining.value(self, values, SEEN)
        if combining.by_value:
            value.backward()
        else:
            combining.backward(self, value)
        self.optimizer.step()
        combining.after(self, None)
        if hasattr(combining.method, "after_step"):
            with torch.no_grad():
                combining.method.after_step(torch.stack(self.terms()))


def main() -> None:
    """Measure each method at each number of terms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    methods = [name for name in own_choices("combine") if name not in (PLAIN, "alone")]
    parser.add_argument("--methods", nargs="+", choices=methods, default=methods, metavar="NAME")
    parser.add_argument("--terms", nargs="+", type=int, default=[2, 3, 8])
    parser.add_argument("--hidden", type=int, default=512, help="width of the three layers of the trunk")
    parser.add_argument("--inputs", type=int, default=784)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="of a repeat")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = [PLAIN, SEPARATE, *options.methods]
    sizes = (options.hidden, options.inputs, options.batch, device)
    memory = [{name: _memory(terms, name, sizes) for name in names} for terms in options.terms]  # while little is taken
    columns = [_column(names, *each, sizes, options) for each in zip(options.terms, memory, strict=True)]
    print("| combine | " + " | ".join(f"{terms} terms: time, memory" for terms in options.terms) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for place, name in enumerate(names):
        print(f"| `{name}` | " + " | ".join(column[place] for column in columns) + " |")


def _column(
    names: list[str], terms: int, memory: dict[str, float], sizes: tuple[Any, ...], options: argparse.Namespace
) -> list[str]:
    """Return time and memory of a step of each method, as ratios, and those of the plain sum themselves."""
    nets = {name: Net(terms, name, *sizes) for name in names}
    seconds = _seconds({name: net.step for name, net in nets.items()}, options, sizes[-1])
    print(f"{terms} terms: {seconds}, {memory}", file=sys.stderr)
    plain = f"{1000 * seconds[PLAIN]:.1f} ms, {memory[PLAIN]:.0f} MB"
    cells = []
    for name in names[1:]:
        combining = nets[name].combining
        beside = "" if combining is None or combining.by_value else f" ({seconds[name] / seconds[SEPARATE]:.2f})"
        cells.append(f"{seconds[name] / seconds[PLAIN]:.2f}{beside}, {memory[name] / memory[PLAIN]:.2f}")
    return [plain, *cells]


def _seconds(steps: dict[str, Callable[[], None]], options: argparse.Namespace, device: str) -> dict[str, float]:
    """Return the median time of a step of each method, all taking turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    clock = time.perf_counter if device == "cuda" else time.process_time
    for repeat in range(options.repeats + 1):
        for name in list(steps)[:: 1 if repeat % 2 else -1]:
            began = clock()
            for _ in range(options.steps):
                steps[name]()
            if device == "cuda":
                torch.cuda.synchronize()
            if repeat:  # the first warms up
                found[name].append((clock() - began) / options.steps)
    return {name: median(times) for name, times in found.items()}


def _memory(terms: int, name: str, sizes: tuple[Any, ...]) -> float:
    """Return the peak memory in MB of a method's steps beyond network and batch, on a CPU in a process of its own."""
    if sizes[-1] == "cuda":
        return _peak(terms, name, sizes)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_peak, (terms, name, sizes))


def _peak(terms: int, name: str, sizes: tuple[Any, ...]) -> float:
    hidden, inputs, batch, device = sizes
    Net(terms, name, 8, inputs, batch, device).step()  # what torch and torchjd load with the first step
    net = Net(terms, name, hidden, inputs, batch, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is from now on
    before = torch.cuda.memory_allocated() if device == "cuda" else _high_water()
    for _ in range(3):
        net.step()
    return ((torch.cuda.max_memory_allocated() if device == "cuda" else _high_water()) - before) / 2**20


def _high_water() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


if __name__ == "__main__":
    main()

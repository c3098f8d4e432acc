"""How close the suite's comparisons of numbers come to their bounds: used / allowed, on this processor and as others.

A bound that only just holds on one processor breaks on the next, whose kernels add up in another order. This runs tests
and looks at every `pytest.approx`, `torch.testing.assert_close` and `numpy.testing.assert_allclose`. It prints those
that use more than a tenth of a bound that is there for rounding, and, where several instruction sets are tried, those
of any bound that move by more than a tenth of it from one set to another. It exits with 1 if there are any.

  python scripts/margins.py tests/running/test_stacks.py              as this processor is
  python scripts/margins.py --sets=all tests/running/test_stacks.py   also as others, without AVX-512 or AVX2
  python scripts/margins.py --sets="as it is,sse"            the whole suite twice

What tests compare with < or > is not seen: those bounds must be wide by themselves.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
SETS: dict[str, dict[str, str]] = {
    "as it is": {},
    "two threads": {"OMP_NUM_THREADS": "2", "LOSSBENCH_TEST_THREADS": "2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "sse": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
}
"""What tells torch's own kernels, oneDNN and MKL to use fewer instructions than the processor has."""
ROUNDING = 1e-8
"""A bound of at most so much of its numbers is there for rounding in float64, not for printed digits."""
TENTH = 0.1
RESULT = "LOSSBENCH_MARGINS"
"""Where the tests write what they used."""

Margins = dict[str, tuple[float, bool]]
"""For each place of a test: the largest part of its bound that was used, and whether it is a bound for rounding."""

_used: Margins = {}
_test = ""


def main() -> None:
    """Run the tests, and print what is close."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="as it is", help=f"all, or some of: {', '.join(SETS)}")
    options, tests = parser.parse_known_args()
    names = list(SETS) if options.sets == "all" else options.sets.split(",")
    if unknown := set(names) - set(SETS):
        parser.error(f"--sets={options.sets}: there is no {', '.join(sorted(unknown))}; there are: {', '.join(SETS)}")
    found, failed = {}, False
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        code, found[name] = _run(tests, SETS[name])
        if code:
            failed = True
            print(f"{name}: the tests fail (pytest's exit code {code})")
    close = _close(found)
    for place, parts in sorted(close.items(), key=lambda item: -max(item[1].values())):
        print(f"{place}\n    " + ", ".join(f"{name}: {part:.3g}" for name, part in parts.items()))
    compared = len({place for margins in found.values() for place in margins})
    print(f"{compared} places compared under {', '.join(names)}; {len(close)} use or move more than {TENTH:g}.")
    sys.exit(1 if failed or close else 0)


def _run(tests: Sequence[str], environment: Mapping[str, str]) -> tuple[int, Margins]:
    """Run tests with this file as a plugin; return pytest's exit code and the margins."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-p", "margins", *tests]
        settings = {**os.environ, **environment, "PYTHONPATH": path, RESULT: folder}
        code = subprocess.run(command, cwd=ROOT, env=settings, stdout=sys.stderr, check=False).returncode
        margins: Margins = {}
        for file in Path(folder).iterdir():
            for place, (part, rounding) in json.loads(file.read_text()).items():
                margins[place] = max(margins.get(place, (0.0, rounding)), (part, rounding))
    return code, margins


def _close(found: Mapping[str, Margins]) -> dict[str, dict[str, float]]:
    """Return the parts that are used at each place that is close to its bound, or moves towards it."""
    close = {}
    for place in {place for margins in found.values() for place in margins}:
        seen = {name: margins[place] for name, margins in found.items() if place in margins}
        parts = [part for part, _ in seen.values()]
        moved = max(parts) - min(parts)
        if moved > TENTH or any(part > TENTH and rounding for part, rounding in seen.values()):
            close[place] = {name: part for name, (part, _) in seen.items()}
    return close


def pytest_configure() -> None:
    """Look at what is compared, where this file is a plugin of pytest."""
    import torch

    approx, assert_close, assert_allclose = (
        type(pytest.approx(1.0)),
        torch.testing.assert_close,
        np.testing.assert_allclose,
    )
    equal: Any = approx.__eq__

    def approximately_equal(self: Any, actual: Any) -> bool:
        if isinstance(actual, int | float | np.number) and isinstance(self.expected, int | float | np.number):
            _note(actual, self.expected, float(self.tolerance), 0.0)
        return bool(equal(self, actual))

    @wraps(assert_close)
    def assert_tensors_close(actual: Any, expected: Any, **options: Any) -> None:
        assert_close(actual, expected, **options)
        _note_tensors(actual, expected, options.get("rtol"), options.get("atol"))

    @wraps(assert_allclose)
    def assert_arrays_close(
        actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, *rest: Any, **more: Any
    ) -> None:
        assert_allclose(actual, desired, rtol, atol, *rest, **more)
        _note(actual, desired, atol, rtol)

    approx.__eq__ = approximately_equal  # type: ignore[method-assign]
    torch.testing.assert_close = assert_tensors_close
    np.testing.assert_allclose = assert_arrays_close


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: Any) -> None:
    """Remember which test runs."""
    global _test  # noqa: PLW0603
    _test = item.nodeid


def pytest_sessionfinish() -> None:
    """Write what was used."""
    Path(os.environ[RESULT], f"{os.getpid()}.json").write_text(json.dumps(_used))


def _note_tensors(actual: Any, expected: Any, rtol: float | None, atol: float | None) -> None:
    import torch
    from torch.testing._comparison import default_tolerances

    if isinstance(actual, Mapping):
        for key in actual:
            _note_tensors(actual[key], expected[key], rtol, atol)
    elif isinstance(actual, Sequence):
        for one, other in zip(actual, expected, strict=True):
            _note_tensors(one, other, rtol, atol)
    elif isinstance(actual, torch.Tensor | int | float):
        one, other = torch.as_tensor(actual).detach(), torch.as_tensor(expected).detach()
        if rtol is None or atol is None:
            rtol, atol = default_tolerances(one, other)
        _note(one.double().numpy(), other.double().numpy(), atol, rtol)


def _note(actual: Any, expected: Any, atol: float, rtol: float) -> None:
    """Keep the largest part of the bound atol + rtol * |expected| that a difference uses."""
    one, other = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    allowed = np.broadcast_to(atol + rtol * np.abs(other), np.broadcast_shapes(one.shape, other.shape))
    with np.errstate(all="ignore"):
        parts = np.where(one == other, 0.0, np.abs(one - other) / allowed)
    parts = parts[np.isfinite(parts)]
    if parts.size:
        scale = float(np.max(np.abs(other[np.isfinite(other)]), initial=1.0))
        frame = sys._getframe(2)
        while frame.f_back is not None and f"{ROOT / 'tests'}/" not in frame.f_code.co_filename:
            frame = frame.f_back
        place = f"{_test} line {frame.f_lineno}"
        part, rounding = float(parts.max()), bool(float(allowed.max()) <= ROUNDING * scale)
        _used[place] = max(_used.get(place, (0.0, rounding)), (part, rounding))


if __name__ == "__main__":
    main()

"""Run a fixed set of small sweeps, and hold their numbers against those of another time: none may differ by a bit.

For a change that must not change what is measured. The set has every task, engine and way of learning, the axes, the
corruptions, losses with parameters, a memory or terms, and sweeps that are killed and started again. Only the command
line and the files of runs are used, so that any checkout can be run. Metrics, histories and the hash of each array of
predictions are written to a JSON file. Their bits depend on processor and packages: both files must come from one
machine. The sweeps of LeNet need MNIST in $LOSSBENCH_DATA, or where the tests unpack it; else they are left out.

  python scripts/same_numbers.py before.json                         run the set: six minutes on two cores
  python scripts/same_numbers.py after.json --checkout DIR           run it with the package of another checkout
  python scripts/same_numbers.py after.json --sweeps vae one-cycle   run some of it
  python scripts/same_numbers.py --compare before.json after.json    print each difference; exit code 1 if there is one
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
SMALL = (
    "-m seed=0,1 engine=single tracking=none threads=1 trainer.accelerator=cpu data.max_train=200 data.max_test=100 "
    "data.val_fraction=0.2 data.batch_size=32 trainer.check_val_every_n_epoch=1 trainer.max_epochs=2"
)
"""What all sweeps have; a word of a sweep replaces the one that it repeats."""
BOTH = "data=digits,diabetes loss=cross_entropy,focal,mse,huber skip_impossible=true trainer.max_epochs=3"
LENET = "data=mnist model=lenet loss=cross_entropy,ldam,focal data.batch_size=20 optimizer=sgd optimizer.lr=0.01"
RESUMED = "data=digits loss=cross_entropy,elr scheduler=cosine trainer.max_epochs=20"
SWEEPS = {
    "resume-stacked": f"engine=stacked {RESUMED} data.max_train=null data.batch_size=8",
    "resume-packed": f"engine=packed {RESUMED}",
    "resume-single": RESUMED,
    "engine-single": BOTH,
    "engine-packed": f"engine=packed {BOTH}",
    "engine-stacked": f"engine=stacked {BOTH}",
    "lenet-single": LENET,
    "lenet-stacked": f"engine=stacked {LENET}",
    "binary": "data=breast_cancer loss=bce,binary_focal,ghm_c",
    "multilabel": "data=digits_multilabel loss=multilabel_bce,multilabel_asymmetric",
    "distributional": "data=heteroscedastic loss=gaussian_nll,crps_gaussian",
    "count": "data=counts loss=poisson_nll,negative_binomial_nll",
    "sequence": "data=digit_lines loss=ctc,framewise_cross_entropy",
    "vae": "data=digits loss=vae_bernoulli,vae_gaussian",
    "gan-points": "data=gaussians8 loss=non_saturating,wgan_gp",
    "gan-images": "data=digits learner=gan learner/network=gan_conv loss=hinge_gan,relativistic_gan",
    "denoising": "data=digits learner=denoising loss=denoise_mse,denoise_min_snr learner.evaluated_samples=200",
    "flow-matching": "data=ring loss=denoise_l1,flow_matching learner.evaluated_samples=200",
    "flow": "data=gaussians8,digits loss=flow_nll learner.network.couplings=2",
    "energy": "data=ring loss=contrastive_divergence,noise_contrastive",
    "axes": "data=digits_imb loss=cross_entropy weighting=none,drw sampler=class_balanced mixup=none,mixup "
    "posthoc=temperature,logit_adjustment",
    "axes-stacked": "engine=stacked data=digits_imb loss=ldam weighting=none,drw sampler=uniform,class_balanced "
    "posthoc=none,temperature",
    "weights": "data=digits_imb loss=cross_entropy weighting=inverse,effective_number sampler=square_root",
    "lds": "data=curve_imb loss=mse,huber weighting=lds mixup=none,mixup",
    "corruptions": "data=digits_imb,digits_noisy,curve_imb,diabetes_outliers loss=gce,mae skip_impossible=true",
    "noise-asymmetric": "data=digits data/noise=asymmetric loss=gce,forward_correction",
    "noise-instance": "data=digits data/noise=instance data/imbalance=step data.imbalance.factor=4 loss=gce,sce",
    "weighted-sum": "data=digits loss=weighted_sum loss.terms.1=gce loss.weights=[1,0.5]",
    "distillation": "data=digits loss=cross_entropy; data=digits loss=distillation teacher=FIRST model.hidden=[16]",
    "calibrate": "data=diabetes data/contamination=leverage loss=huber,cauchy optimizer.calibrate=gradient",
    "cosine-head": "data=digits_imb loss=ldam,arcface",
    "learned": "data=diabetes data/contamination=heavy_tail loss=adaptive_robust,learned_student_t",
    "memory": "data=digits_noisy loss=elr,seesaw",
    "one-cycle": "data=digits scheduler=one_cycle optimizer=sgd loss=cross_entropy,focal",
    "options": "data=digits scheduler=warmup_step scheduler.warmup_epochs=1 optimizer=adamw trainer.max_epochs=3 "
    "trainer.precision=64-true trainer.gradient_clip_val=0.5 loss=cross_entropy,poly1",
}
"""The commands of each sweep, parted by semicolons; FIRST is the folder of its first run, by name."""
PARTS = ("status", "metrics", "history", "epochs", "hashes", "calibration")
"""What is taken of a record: nothing of time."""
ARRAYS = {
    "predictions.npz": ("predictions.npz", "", ("best_val/", "validation/")),
    "predictions_best.npz": ("predictions.npz", "best_val/", ()),
    "validation.npz": ("predictions.npz", "validation/", ()),
    "snapshots.npz": ("snapshots.npz", "", ()),
}
"""By the name under which they are compared: their file, what stands before their names, and before those of others."""
CHECKPOINTS, WRITING_SECONDS = 2, 0.5
"""A sweep is killed when so many runs have a checkpoint, and those of a stack have had the time to follow."""

Found = dict[str, Any]


def main() -> None:
    """Run the set, or compare two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, help="the file to write")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose package is run; default: this one's")
    parser.add_argument("--sweeps", nargs="+", choices=list(SWEEPS), default=list(SWEEPS), metavar="NAME")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="two files that were written")
    options = parser.parse_args()
    if (options.out is None) == (options.compare is None):
        parser.error("give a file to write, or --compare A B")
    sys.exit(_compare(*options.compare) if options.compare else _run(options))


def _run(options: argparse.Namespace) -> int:
    """Run the sweeps, and write what they measured; return the exit code."""
    clock, found, broken = time.monotonic(), Found(), list[str]()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lossbench-test-data"
    environment = {"LOSSBENCH_DATA": str(cache), **os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(options.checkout.resolve())
    has_mnist = (Path(environment["LOSSBENCH_DATA"]) / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file()
    names = [name for name in options.sweeps if has_mnist or not name.startswith("lenet")]
    if not has_mnist:
        print("The sweeps of LeNet are left out, since MNIST is not here: set LOSSBENCH_DATA to its folder.")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        sweeps = {name: pool.submit(_sweep, name, Path(folder) / name, environment) for name in names}
        try:
            for name, sweep in sweeps.items():
                runs, seconds, error = sweep.result()
                found |= runs
                print(f"{name}: {len(runs)} runs, {seconds:.0f} s{f': {error}' if error else ''}", flush=True)
                broken += [name] if error else []
        finally:
            pool.shutdown(cancel_futures=True)
    options.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} runs of {len(names)} sweeps in {time.monotonic() - clock:.0f} s are in {options.out}")
    print(f"broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


def _sweep(name: str, folder: Path, environment: dict[str, str]) -> tuple[Found, float, str]:
    """Run the commands of a sweep; return its runs, its seconds, and what went wrong, "" if nothing."""
    clock, error = time.monotonic(), ""
    folder.mkdir()
    for line in SWEEPS[name].split("; "):
        first = next(iter(sorted(folder.glob("outputs/*/*/record.json"))), folder).parent
        replaced = {word.partition("=")[0]: word for word in f"{SMALL} {line}".split()}
        words = [word.replace("FIRST", str(first)) for word in replaced.values()]
        error = error or (_killed(folder, words, environment) if name.startswith("resume") else "")
        if (code := _start(folder, words, environment).wait()) and not error:
            error = f"exit code {code}: {(folder / 'output.txt').read_text(encoding='utf-8')[-2000:]}"
    runs = list(_measured(name, folder / "outputs"))
    error = error or ("" if len(runs) == len(dict(runs)) else "two runs have the same name")
    return dict(runs), time.monotonic() - clock, error


def _start(folder: Path, words: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "lossbench", *words]
    with (folder / "output.txt").open("ab") as to:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=to, stderr=to, start_new_session=True)


def _killed(folder: Path, words: list[str], environment: dict[str, str]) -> str:
    """Start a sweep, and kill it with its workers in the middle of several runs; say what went wrong, "" if nothing."""
    process = _start(folder, words, environment)
    while len(list(folder.glob("outputs/*/*/checkpoints/last.ckpt"))) < CHECKPOINTS and process.poll() is None:
        time.sleep(0.05)
    time.sleep(WRITING_SECONDS)
    if process.poll() is not None:
        return f"it ended with exit code {process.poll()} before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return ""


def _measured(sweep: str, outputs: Path) -> Iterator[tuple[str, Found]]:
    for path in sorted(outputs.glob("*/*/record.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        parts: Found = {part: entry.get(part) for part in PARTS}
        for name, (file, before, others) in ARRAYS.items():
            if path.with_name(file).exists():
                with np.load(path.with_name(file)) as arrays:
                    own = [key for key in arrays if key.startswith(before) and not (others and key.startswith(others))]
                    parts[name] = {key.removeprefix(before): _hash_of(arrays[key]) for key in own}
        yield f"{sweep} {entry['name']} {path.parent.parent.name}", parts


def _hash_of(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)} {sha256(array.tobytes()).hexdigest()[:16]}"


def _compare(one: Path, other: Path) -> int:
    """Print what differs between two files; return the exit code."""
    before, after = (dict(_leaves(json.loads(path.read_text(encoding="utf-8")))) for path in (one, other))
    names = sorted(before.keys() | after.keys())
    differing = [name for name in names if before.get(name) != after.get(name)]
    for name in differing:
        print(f"{' '.join(name)}: {before.get(name, 'missing')} | {after.get(name, 'missing')}")
    print(f"{len(differing)} of {len(names)} values differ.")
    return 1 if differing else 0


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    inside = node.items() if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else ()
    if not inside:
        yield path, json.dumps(node)
    for key, value in inside:
        yield from _leaves(value, (*path, str(key)))


if __name__ == "__main__":
    main()

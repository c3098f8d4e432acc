"""Records and files of made-up runs, as a real run leaves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = 4
COUNTS = [120, 40, 12, 5]


def made_up(
    loss: str, seed: int, value: float, status: str = "finished", task: str = "multiclass", **changes: Any
) -> dict[str, Any]:
    """Return the record of a run whose main test metric is `value`; two epochs before, it was better by 0.05."""
    main = "mae" if task == "regression" else "balanced_accuracy"
    monitor = "mae_observed" if task == "regression" else "balanced_accuracy"
    better = -0.05 if task == "regression" else 0.05
    history = []
    for epoch, test in enumerate([value + better, value - better, value]):
        row = {"epoch": epoch, "train/loss": 1.0, f"test/{main}": test}
        row |= {f"val/{monitor}": test if epoch != 1 else value + 2 * better}
        row |= {f"val/clean/{monitor}": test} if task != "regression" else {"val/mae": test}
        if task != "regression":
            row |= {"train/clean_accuracy": 0.9, "train/memorised": 0.1 * epoch, "test/nll": 0.5, "test/ece": 0.1}
            row |= {f"test/recall/{k}": 0.9 - 0.1 * k for k in range(CLASSES)}
            row |= {"test/accuracy_many": 0.9, "test/accuracy_medium": 0.8, "test/accuracy_few": 0.7}
        history.append(row)
    finished = status == "finished"
    entry = {
        "key": f"{loss}{seed}{changes}".encode().hex()[:64], "problem": "p" * 64, "name": f"{loss}-s{seed}",
        "status": status, "loss": loss, "weighting": "none", "head": "linear", "seed": seed, "task": task,
        "monitor": monitor, "choices": {"data": "made_up", "loss": loss, "model": "mlp"},
        "config": {
            "loss": {"_target_": f"lossbench.losses.{loss}"},
            "weighting": {"_target_": "lossbench.methods.weighting.none"},
            "data": {"noise": {"kind": "symmetric"}}, "trainer": {"max_epochs": 3},
        },
        "data": {"train_class_counts": None if task == "regression" else COUNTS}, "history": history,
        "metrics": {"last": history[2] if finished else None, "best_val": history[1] if finished else None},
        "cost": {"seconds": 2.0, "training_seconds": 1.0, "samples_per_second": 1e4, "peak_memory_mb": 900.0},
        "versions": {"torch": "2.2"}, "git": None, "mlflow_run_id": f"run-of-{loss}-{seed}", "started": float(seed),
    }  # fmt: skip
    if status == "diverged":
        entry |= {"error": "the loss became nan in epoch 1, step 7", "diverged": {"epoch": 1, "step": 7}}
    return {**entry, **changes}


def write(output_dir: Path, entry: dict[str, Any]) -> None:
    """Write the folder of a run: record, overrides and predictions."""
    folder = output_dir / entry["choices"]["data"] / f"{entry['name']}-{entry['problem'][0]}"
    (folder / ".hydra").mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(entry))
    lines = [f"loss={entry['loss']}", f"seed={entry['seed']}", f"data={entry['choices']['data']}"]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {json.dumps(line)}\n" for line in lines))
    for number, name in enumerate(["predictions.npz", "predictions_best.npz", "validation.npz"]):
        rng = np.random.default_rng(entry["seed"] + number)
        make = _regression if entry["task"] == "regression" else _classification
        np.savez(folder / name, **make(rng, name == "validation.npz"))


def _classification(rng: np.random.Generator, _validation: bool) -> dict[str, Any]:
    target = rng.integers(CLASSES, size=60)
    probabilities = rng.dirichlet(np.ones(CLASSES), 60) + np.eye(CLASSES)[target]
    return {"probabilities": (probabilities / 2).astype("float32"), "target": target}


def _regression(rng: np.random.Generator, validation: bool) -> dict[str, Any]:
    inputs = rng.normal(size=80)
    clean = np.sin(inputs)
    contaminated = (rng.random(80) < 0.2) & validation
    prediction = clean + 0.1 * rng.normal(size=80)
    arrays = {"inputs": inputs, "target": clean + 8.0 * contaminated, "target_clean": clean, "prediction": prediction}
    return {**arrays, "contaminated": contaminated} if validation else arrays

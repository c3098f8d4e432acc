"""What a look at the data finds: facts with their evidence in numbers, from what a user sees before training.

Nothing here looks at clean targets, nor at those of the test part, of which only the number is known.
"""

from collections.abc import Callable

import numpy as np
import torch

from lossbench.advise import by_cleanlab, classes, labels, numbers
from lossbench.advise.probe import FOLDS, MOST_ROWS, class_probabilities, few_features
from lossbench.advise.seen import Finding, Found, Seen, parts_of, seen_of
from lossbench.data import DataModule
from lossbench.data.corruptions import Array, stratified_subset
from lossbench.seeding import numpy_stream

POWER = 2.8016
"""Standard errors of a difference that a two-sided test at 5 % finds with 80 % power: 1.9600 + 0.8416."""
RARE = 20
"""Samples below which a class is rare."""
FEWEST = 30
"""Samples below which no probe is tried: its errors would say nothing."""
SKILL = 0.1
"""What a probe gets right, of what the largest class gets wrong, below which nothing is said of wrong labels."""
MOST_CLASSES = 1000
"""Classes up to which a probe is tried."""


def look(data: DataModule) -> Found:
    """Return what is found in the data, by name; what does not apply is left out.

    Every task: `task`, `samples`, `features`, `test_samples`, `samples_per_feature`, and `smallest_difference` where
    there is a probe. Classes: `classes`, `imbalance`, `rare_classes`, `accuracy_probe`, `wrong_labels`,
    `wrong_labels_asymmetry`, `wrong_labels_by_class`, `wrong_labels_at_most`, and where cleanlab is installed
    `wrong_labels_cleanlab`. Numbers: `outliers`, `outliers_side`,
    `tails`, `spread_grows`, `skew`, `zeros`, `counts`, `dispersion`, `rare_targets`, and of tables
    `outliers_inputs`. Several labels: `labels_per_sample`, `negatives_per_positive`.

    Parameters
    ----------
    data : DataModule
        After `setup`; or a `ForeignDataModule` of the user's own data.

    Raises
    ------
    ConfigError
        If the data are not set up, or those of the user's own are too large for a look.

    """
    return _found_in(seen_of(data))


def look_by_part(data: DataModule) -> dict[str, Found]:
    """Return what is found of each part of several tasks, by its name, as `look` would of a task of its own.

    Parameters
    ----------
    data : DataModule
        After `setup`; of a task without parts there is nothing.

    """
    return {name: _found_in(seen) for name, seen in parts_of(data).items()}


def _found_in(seen: Seen) -> Found:
    found = _of_size(seen)
    looks: dict[str, Callable[[Seen], Found]] = {
        "class": _of_classes, "number": _of_numbers, "count": _of_numbers, "labels": _of_labels
    }  # fmt: skip
    if seen.task.target in looks:
        found |= looks[seen.task.target](seen)
    return found


def _of_size(seen: Seen) -> Found:
    count, features = len(seen.target), int(np.prod(seen.shape))
    ratio = count / max(1, features)
    shape = "x".join(map(str, seen.shape))
    return _by_name(
        Finding("task", seen.task.name, f"What is predicted is {seen.task.title} ({seen.task.name})."),
        Finding("samples", count, f"There are {count:,} samples to train and validate on."),
        Finding("features", features, f"An input has {features:,} numbers ({shape})."),
        Finding("test_samples", seen.test_samples, f"There are {seen.test_samples:,} samples to test on."),
        Finding("samples_per_feature", ratio, f"There are {ratio:,.1f} samples to a number of the input."),
    )


def _of_classes(seen: Seen) -> Found:
    num_classes = int(seen.num_classes or seen.target.max() + 1)
    counts = np.bincount(seen.target, minlength=num_classes)
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    ratio, rare = counts.max() / max(1, counts.min()), int((counts < RARE).sum())
    name = _namer(seen.class_names)
    found = _by_name(
        Finding("classes", num_classes, f"There are {num_classes} classes."),
        Finding(
            "imbalance", float(ratio), f"The largest class, {name(largest)}, has {counts.max():,} samples, the "
            f"smallest, {name(smallest)}, {counts.min():,}: {ratio:.3g} to 1."
        ),
        Finding("rare_classes", rare, f"{rare} of {num_classes} classes have fewer than {RARE} samples."),
    )  # fmt: skip
    can_be_told = len(seen.target) >= FEWEST and (counts >= FOLDS).sum() > 1 and num_classes <= MOST_CLASSES
    of_tokens = seen.parts[0].dtype == torch.int64  # their numbers are no quantities
    return found | (_of_probe(seen, num_classes, counts) if can_be_told and not of_tokens else {})


def _of_probe(seen: Seen, num_classes: int, counts: Array) -> Found:
    rows = stratified_subset(seen.target, MOST_ROWS, numpy_stream(0, "advice", "rows"))
    target = seen.target[rows]
    probed = class_probabilities(few_features(seen.inputs(rows)), target, num_classes)
    accuracy = float((probed.predicted.argmax(1) == target).mean())
    largest = float(counts.max() / counts.sum())
    sees = accuracy - largest > SKILL * (1 - largest)  # else any label looks wrong
    wrong = _of_wrong_labels(seen, classes.wrong_labels(probed.predicted, target), accuracy, counts) if sees else []
    wrong += _of_cleanlab(seen, by_cleanlab.wrong_by_class(probed.predicted, target)) if sees else []
    return _by_name(
        Finding(
            "accuracy_probe", accuracy, f"A cheap probe ({probed.name}) predicts {accuracy:.1%} of the observed "
            f"classes of samples that it has not seen; the largest class would be {largest:.1%}"
            f"{_looked_at(rows, seen)}."
            + ("" if sees else " That is too little to tell wrong labels from right ones.")
        ),
        *wrong,
    )  # fmt: skip


def _of_wrong_labels(seen: Seen, wrong: classes.WrongLabels, accuracy: float, counts: Array) -> list[Finding]:
    name, by_class = _namer(seen.class_names), wrong.by_class
    worst = sorted(np.flatnonzero(counts).tolist(), key=lambda label: -by_class[label])[:3]
    share = max(wrong.share, 1.5 / max(1, wrong.used))  # of none among n, up to 3 in n are likely (rule of three)
    error = 2 * float(np.sqrt(share * (1 - share) / max(1, wrong.used)))
    bound = "an upper bound: it can't be told from how hard samples are, as agreement with the probe still grows"
    plain = "an estimate, no bound: agreement with the probe hardly grows"
    way = "go mostly to one class each" if wrong.asymmetry >= 0.5 else "are spread over the classes"
    if len(by_class) == 2:
        way = "come mostly from one class" if wrong.asymmetry >= 0.5 else "come from both classes"
    right = min(0.99, accuracy / max(1 - wrong.share, accuracy, 1e-9))
    return [
        Finding(
            "wrong_labels", wrong.share, f"{'At most about' if wrong.upper else 'About'} {wrong.share:.1%} of the "
            f"labels are wrong, give or take {error:.1%}: counted among the {wrong.used:,} samples whose class the "
            "probe is surest of."
        ),
        Finding(
            "wrong_labels_at_most", int(wrong.upper), f"The share of wrong labels is {bound if wrong.upper else plain} "
            "among the samples that it is surest of."
        ),
        Finding(
            "wrong_labels_asymmetry", wrong.asymmetry, f"Those that are wrong {way}: {wrong.asymmetry:.2f}, where 0 is "
            "all alike and 1 only one."
        ),
        Finding(
            "wrong_labels_by_class", by_class, "Most wrong labels have the samples labelled "
            + ", ".join(f"{name(label)} ({by_class[label]:.1%})" for label in worst) + "."
        ),
        *([_smallest_by_class(seen, 1 - right, counts / counts.sum())] if seen.task.named.get("accuracy") else []),
    ]  # fmt: skip


def _of_cleanlab(seen: Seen, found: tuple[float, list[float]] | None) -> list[Finding]:
    """Set cleanlab's estimate beside ours; no rule asks for it."""
    if found is None:
        return []
    (share, by_class), name = found, _namer(seen.class_names)
    worst = np.argsort(by_class)[::-1][:3].tolist()
    return [
        Finding(
            "wrong_labels_cleanlab", by_class, f"By cleanlab {share:.1%} of them are wrong, most of those labelled "
            + ", ".join(f"{name(label)} ({by_class[label]:.1%})" for label in worst)
            + "; it counts what the probe gets wrong as well."
        )
    ]  # fmt: skip


def _smallest_by_class(seen: Seen, errors: float, shares: Array) -> Finding:
    """Return what a paired difference of balanced accuracy must be to be found.

    Formula: 2.8 sqrt(d sum_k 1 / (K^2 n p_k)); d is the share of samples that one of two models gets right and the
    other wrong, whose variance is at most d / n for a paired difference (McNemar 1947).
    """
    disagree, present = max(0.01, errors / 2), shares[shares > 0]
    smallest = _decidable(disagree * (1 / present).mean() / len(present), seen.test_samples)
    even = _decidable(disagree, seen.test_samples)
    enough = int(np.ceil(seen.test_samples * (smallest / 0.01) ** 2))
    return Finding(
        "smallest_difference", smallest,
        f"{seen.test_samples:,} test samples can decide a difference of balanced accuracy of {smallest:.3f} with 80 % "
        f"power, if they have the proportions of the training classes, and of accuracy of {even:.3f}; if two losses "
        f"differ in which samples they get right on {disagree:.1%} of them, half of the probe's errors. A difference "
        f"of 0.01 needs {enough:,}."
    )  # fmt: skip


def _of_numbers(seen: Seen) -> Found:
    if seen.target.ndim != 1 or len(seen.target) < FEWEST:
        return {}
    rows = stratified_subset(np.zeros(len(seen.target), int), MOST_ROWS, numpy_stream(0, "advice", "rows"))
    target, features = seen.target[rows].astype(np.float64), few_features(seen.inputs(rows))
    whole = _are_counts(seen.target)
    expected = numbers.expected_counts(features, target) if whole else np.ones(len(target))
    of_counts = seen.task.target == "count" and whole
    if of_counts:
        fit, predicted = "boosted trees of Poisson deviance", expected
        residual = numbers.stabilised(target) - numbers.stabilised(expected)
        errors, metric = numbers.poisson_deviance(target, expected), "Poisson deviance"
    else:
        fit, predicted = numbers.robust_predictions(features, target)
        residual = target - predicted
        errors, metric = np.abs(residual), "absolute error"
    core = numbers.core_of(residual)
    within = np.abs(residual - core.center) <= numbers.FAR * core.scale
    within |= core.outliers < 0.02  # so few may be tails
    grows = numbers.rank_correlation(np.abs(target - predicted)[within], predicted[within])
    return _by_name(
        Finding("counts", int(whole), f"The target is {'a' if whole else 'no'} count: "
                f"{'' if whole else 'not '}all are whole numbers from 0."),
        _zeros(seen.target),
        *([_dispersion(numbers.dispersion(target, expected))] if whole else []),
        *_of_outliers(core, fit, _looked_at(rows, seen)),
        *([] if of_counts else [_tails(features[within], residual[within], core)]),
        Finding("spread_grows", grows, f"The size of a residual and its prediction have a rank correlation of "
                f"{grows:.2f}, without outliers."),
        *_of_distribution(target[within]),
        *([_far_inputs(features)] if len(seen.shape) == 1 else []),
        _smallest_of_errors(seen, errors, metric, fit),
    )  # fmt: skip


def _far_inputs(features: Array) -> Finding:
    share = numbers.far_inputs(features)
    return Finding("outliers_inputs", share, f"{share:.1%} of the samples have inputs that lie far off the others': "
                   f"more than {numbers.FAR:g} robust deviations of the distance from the middle.")  # fmt: skip


def _dispersion(ratio: float) -> Finding:
    return Finding("dispersion", ratio, f"Given a prediction, the variance of the counts is {ratio:.2f} times their "
                   "mean; of a Poisson distribution it is once.")  # fmt: skip


def _of_outliers(core: numbers.Core, fit: str, looked_at: str) -> list[Finding]:
    sides = f"{core.above:.1%} above and {core.below:.1%} below"
    return [
        Finding("outliers", core.outliers, f"{core.outliers:.1%} of the targets are outliers from {fit}, {sides}: "
                f"more than {numbers.FAR:g} robust deviations off, and more than others' tails explain{looked_at}."),
        Finding("outliers_side", core.side, f"Outliers are {sides}: {core.side:.2f}, from -1 (all below) to 1."),
    ]  # fmt: skip


def _smallest_of_errors(seen: Seen, errors: Array, metric: str, fit: str) -> Finding:
    """Return what a paired difference of a mean error must be to be found.

    Formula: 2.8 sd / sqrt(n), sd the deviation of a sample's error; of a difference it is the same if the errors of two
    models correlate by 0.5.
    """
    deviation, mean = float(errors.std()), float(errors.mean())
    smallest = _decidable(deviation**2, seen.test_samples)
    enough = int(np.ceil((POWER * deviation / (0.01 * mean or 1.0)) ** 2))
    return Finding(
        "smallest_difference", smallest, f"{seen.test_samples:,} test samples can decide a difference of the mean "
        f"{metric} of {smallest:.3g} with 80 % power, if the errors of two losses deviate by {deviation:.3g} as those "
        f"of {fit} do, and correlate by 0.5; a difference of 1 % of the error needs {enough:,}."
    )  # fmt: skip


def _tails(features: Array, residual: Array, core: numbers.Core) -> Finding:
    spread = numbers.spread_of(features, residual)
    core = core if spread is None else numbers.core_of(residual / spread)
    like = " after division by the spread that is predicted for each" * (spread is not None)
    return Finding("tails", core.df, f"Residuals without outliers are like Student's t of {core.df:.1f} degrees of "
                   f"freedom{like}; from about 30 on they are Gaussian.")  # fmt: skip


def _of_distribution(target: Array) -> list[Finding]:
    from scipy.stats import skew

    leaning = float(skew(target)) if np.ptp(target) > 0 else 0.0
    rare = numbers.rare_share(target)
    return [
        Finding("skew", leaning, f"The target's skewness is {leaning:.2f}, without outliers; 0 is symmetric."),
        Finding("rare_targets", rare, f"{rare:.0%} of the target's range, from {target.min():.4g} to "
                f"{target.max():.4g} without outliers, have less than a tenth of the samples of an even spread."),
    ]  # fmt: skip


def _zeros(target: Array) -> Finding:
    share = float((np.abs(target) <= _rounding(target)).mean())
    return Finding("zeros", share, f"{share:.1%} of the targets are 0.")


def _are_counts(target: Array) -> bool:
    near = np.abs(target - target.round()) <= min(_rounding(target), 0.25)  # of millions nothing can be said
    return bool(near.all() and target.min() > -0.5)


def _rounding(target: Array) -> float:
    """Return what a standardised float32 target may be off by."""
    return 4e-7 * max(1.0, float(np.abs(target).max()))


def _of_labels(seen: Seen) -> Found:
    target = seen.target
    several, ratio = labels.labels_per_sample(target), labels.negatives_per_positive(target)
    shares = (target > 0).mean(0)
    positives = seen.test_samples * shares[shares > 0]
    smallest = POWER * float(np.sqrt((0.16 / positives).sum())) / len(positives) if len(positives) else 1.0
    rarest = seen.class_names[int(shares.argmin())] if seen.class_names else str(int(shares.argmin()))
    return _by_name(
        Finding("labels_per_sample", several, f"A sample has {several:.2f} of {target.shape[1]} labels on average."),
        Finding("negatives_per_positive", ratio, f"There are {ratio:.3g} absent labels to a present one; the rarest, "
                f"{rarest}, is on {shares.min():.2%} of the samples."),
        Finding("smallest_difference", smallest, f"{seen.test_samples:,} test samples can decide a difference of mean "
                f"average precision of roughly {smallest:.3f} with 80 % power: the deviation of a positive's precision "
                "is taken to be 0.4, and that of two losses to correlate by 0.5."),
    )  # fmt: skip


def _decidable(variance: float, test_samples: int) -> float:
    return POWER * float(np.sqrt(variance / max(1, test_samples)))


def _looked_at(rows: Array, seen: Seen) -> str:
    return f" ({len(rows):,} of {len(seen.target):,} samples were looked at)" * (len(rows) < len(seen.target))


def _namer(names: tuple[str, ...]) -> Callable[[int], str]:
    return lambda label: names[label] if label < len(names) else str(label)


def _by_name(*found: Finding) -> Found:
    return {each.name: each for each in found}

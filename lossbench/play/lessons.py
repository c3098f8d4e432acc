"""Five lessons of five minutes: what to try, and what is to be seen, in numbers computed when the page is made.

What a lesson claims stands beside its words as `holds`; the tests ask it of the losses and of the page.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import SimpleNamespace

from lossbench.play.measure import State, measured

Seen = SimpleNamespace


@dataclass(frozen=True)
class Try:
    """One thing to try: what to do, what is seen, with numbers in braces, and the state it sets.

    `holds` is what must be true there, `also` what is said of other states.
    """

    do: str
    see: str
    state: State
    holds: Callable[[Seen], bool]
    also: tuple[tuple[State, Callable[[Seen], bool]], ...] = ()

    def seen(self) -> str:
        """Return what is seen, with the numbers in it."""
        text = self.see.format(**vars(measured(self.state)))
        return re.sub(r"(?<![\w.])-(?=\d)", "−", re.sub(r"-(0\.0+)(?!\d)", r"\1", text))


@dataclass(frozen=True)
class Lesson:
    """A lesson: what it is about, what to try, and what to take home."""

    title: str
    about: str
    tries: tuple[Try, ...]
    home: str


def lessons_with(names: Collection[str]) -> list[Lesson]:
    """Return the lessons with those tries whose losses are all on the page."""
    found = []
    for lesson in LESSONS:
        tries = tuple(each for each in lesson.tries if set(each.state.losses) <= set(names))
        found += [Lesson(lesson.title, lesson.about, tries, lesson.home)] if tries else []
    return found


def _near(number: float, other: float, within: float = 0.02) -> bool:
    return abs(number - other) <= within


OUTLIERS = Lesson(
    "Outliers",
    "A model that may say only one number says the one whose mean loss is lowest. The slope of the loss is the force "
    "with which a sample pulls the prediction to itself; where all forces balance is the minimiser. So look at the "
    "slope far from 0: it says what one outlier can do.",
    (
        Try(
            "A clean sample: 201 targets spread like a normal distribution, three losses.",
            "All three pick 0 ({mse.best:.2f}, {mae.best:.2f}, {huber.best:.2f}). Where the data are symmetric, the "
            "mean, the median and all between are the same: the loss does not matter yet.",
            State(("mse", "mae", "huber")),
            lambda s: all(_near(each.best, 0, 0.005) for each in (s.mse, s.mae, s.huber)),
        ),
        Try(
            "Put 10 % of the targets at +5.",
            "mse picks {mse.best:.2f}: the mean moves by 10 % of 5. mae picks {mae.best:.2f}: the median only counts "
            "how many lie on each side. huber with delta = 2 picks {huber.best:.2f}, between them.",
            State(("mse", "mae", "huber"), {"huber": 2.0}, x=5.0, share=0.1),
            lambda s: _near(s.mse.best, 0.5) and s.mae.best < 0.2 and s.mae.best < s.huber.best < s.mse.best,
        ),
        Try(
            "Move the outliers out to +6, and the residual to 6.",
            "mse follows to {mse.best:.2f}; mae stays at {mae.best:.2f}. Their slopes say why: at 6, mse pulls with "
            "{mse.slope:.0f}, mae with {mae.slope:.0f} and huber with {huber.slope:.0f} at any distance, tukey with "
            "{tukey.slope:.0f}: beyond c it does not look.",
            State(("mse", "mae", "huber", "tukey"), {"huber": 2.0}, x=6.0, share=0.1, at=6.0),
            lambda s: (
                _near(s.mse.best, 0.6)
                and s.mae.best < 0.2
                and s.mse.slope == 12
                and (s.mae.slope, s.huber.slope, s.tukey.slope) == (1, 2, 0)
            ),
            (
                (
                    State(("mae", "huber", "tukey"), {"huber": 2.0}, x=8.0),
                    lambda s: (s.mae.slope, s.huber.slope) == (1, 2),
                ),
            ),
        ),
        Try(
            "Let half of the outliers lie at the other side.",
            "All pick 0 again, mse with {mse.best:.2f} too: outliers that balance each other do not shift the "
            "constant. They still cost: each pulls hard, and a real sample rarely balances.",
            State(("mse", "mae", "huber", "tukey"), x=5.0, share=0.1, two_sided=True),
            lambda s: all(_near(each.best, 0, 0.03) for each in (s.mse, s.mae, s.huber, s.tukey)),
        ),
        Try(
            "Now 40 % outliers at +5.",
            "mse goes to {mse.best:.2f}, where hardly a target lies, and the median gives way, too ({mae.best:.2f}). "
            "tukey with c = 3 stays with the majority ({tukey.best:.2f}). Its mean loss has two valleys: a start in "
            "the wrong one stays there.",
            State(("mse", "mae", "tukey"), {"tukey": 3.0}, x=5.0, share=0.4),
            lambda s: _near(s.mse.best, 2.0, 0.05) and s.mae.best > 0.7 and abs(s.tukey.best) < 0.15,
        ),
    ),
    "A bounded slope bounds what an outlier can do; a slope that returns to 0 forgets it. The price: the flatter, "
    "the more a loss depends on where it starts.",
)
ASYMMETRY = Lesson(
    "Asymmetry",
    "Too little and too much may cost differently: a shelf that is empty, a train that is missed. A loss with two "
    "different sides makes the model lean to the cheap one. Residual = target − prediction: right of 0 the "
    "prediction is too low.",
    (
        Try(
            "A skewed sample, like incomes or waiting times.",
            "mse picks {mse.best:.2f}, the mean; mae picks {mae.best:.2f}, the median. Without one outlier they "
            "differ: which of the two is asked for is part of the question.",
            State(("mse", "mae"), skew=0.5),
            lambda s: s.mse.best > 0.2 and _near(s.mae.best, 0, 0.01),
        ),
        Try(
            "quantile with q = 0.9 on the same sample, and the residual at +1.",
            "It picks {quantile.best:.2f}: nine of ten targets lie below. At +1 it costs {quantile.value:.1f}, at −1 "
            "only 0.1: too low is nine times as dear as too high.",
            State(("mae", "quantile"), {"quantile": 0.9}, skew=0.5),
            lambda s: s.quantile.best > 1.5 and _near(s.quantile.value, 0.9, 1e-6),
        ),
        Try(
            "The same residual on the other side, −1.",
            "quantile costs {quantile.value:.1f} and its slope is {quantile.slope:.1f}. At the minimiser the few "
            "that pull up with 0.9 balance the many that pull down with 0.1.",
            State(("mae", "quantile"), {"quantile": 0.9}, x=-1.0, skew=0.5),
            lambda s: _near(s.quantile.value, 0.1, 1e-6) and _near(s.quantile.slope, -0.1, 1e-6),
        ),
        Try(
            "expectile with t = 0.9 beside it, on a symmetric sample.",
            "quantile picks {quantile.best:.2f}, expectile only {expectile.best:.2f}: it weighs distances, not "
            "heads, as mse does beside mae. Its number is no share of the targets.",
            State(("quantile", "expectile"), {"quantile": 0.9, "expectile": 0.9}, x=1.0),
            lambda s: _near(s.quantile.best, 1.28, 0.03) and 0.5 < s.expectile.best < 1.1,
        ),
        Try(
            "linex with a = 1: nearly linear on one side, exponential on the other. Residual at +3, then at −3.",
            "At +3 it costs {linex.value:.1f}, at −3 only 2.05. It picks {linex.best:.2f} where the mean is "
            "{mse.best:.2f}.",
            State(("mse", "linex"), {"linex": 1.0}, x=3.0),
            lambda s: (
                _near(s.linex.value, 16.1, 0.05) and _near(s.linex.best, 0.5, 0.03) and _near(s.mse.best, 0, 0.005)
            ),
            ((State(("linex",), {"linex": 1.0}, x=-3.0), lambda s: _near(s.linex.value, 2.05, 0.01)),),
        ),
    ),
    "Say first which number is wanted: mean, median or a quantile. The loss follows from it; a quantile says what it "
    "means in words that everybody understands.",
)
IMBALANCE = Lesson(
    "Imbalance",
    "Class 1 is rare. Where the true probability of class 1 is η, a loss picks the prediction p that costs least on "
    "average. p above 0.5 decides for class 1. With ten common samples to each rare one, a place where both classes "
    "are equally dense has η = 1/11 = 0.09.",
    (
        Try(
            "η = 0.09, cross_entropy alone.",
            "It says {cross_entropy.best:.2f}: the truth. The decision is for the common class, nearly everywhere, "
            "and with it most of the rare samples are lost. Nothing is wrong with the model: the question was "
            "accuracy.",
            State(("cross_entropy",), eta=0.09, ratio=10),
            lambda s: _near(s.cross_entropy.best, 0.09, 0.003),
        ),
        Try(
            "Weigh each rare sample ten times.",
            "Now it says {cross_entropy.best:.2f}: at a place where both are equally dense it is undecided, as "
            "wanted. But p is no longer a probability: move η to 0.3 and read 0.81.",
            State(("cross_entropy",), eta=0.09, weight=10.0, ratio=10),
            lambda s: _near(s.cross_entropy.best, 0.5, 0.01),
            ((State(("cross_entropy",), eta=0.3, weight=10.0), lambda s: _near(s.cross_entropy.best, 0.81, 0.003)),),
        ),
        Try(
            "balanced_softmax and logit_adjustment instead of a weight.",
            "Both say {balanced_softmax.best:.2f} and {logit_adjustment.best:.2f} where cross_entropy says "
            "{cross_entropy.best:.2f}: they know the counts and answer for balanced classes. The weight pulls harder "
            "at rare samples; these shift the logits.",
            State(("cross_entropy", "balanced_softmax", "logit_adjustment"), eta=0.09, ratio=10),
            lambda s: (
                _near(s.balanced_softmax.best, 0.5, 0.01)
                and _near(s.logit_adjustment.best, 0.5, 0.01)
                and s.cross_entropy.best < 0.1
            ),
        ),
        Try(
            "focal with gamma = 2 at the same place.",
            "It says {focal.best:.2f}: nearer to 0.5, but on the same side. By itself focal moves no decision: it is "
            "less sure of both classes.",
            State(("cross_entropy", "focal"), {"focal": 2.0}, x=2.0, eta=0.09, ratio=10),
            lambda s: s.cross_entropy.best < s.focal.best < 0.5,
        ),
        Try(
            "Look at its slope at a margin of 3, an easy sample.",
            "cross_entropy pulls with {cross_entropy.slope:.3f}, focal with {focal.slope:.4f}: easy samples fall "
            "silent, and the mass of easy common ones no longer drowns the rest. At −1 focal pulls no less than "
            "cross_entropy.",
            State(("cross_entropy", "focal"), {"focal": 2.0}, x=3.0, eta=0.09, ratio=10),
            lambda s: _near(s.cross_entropy.slope, -0.047, 0.001) and -0.001 < s.focal.slope < 0,
            (
                (
                    State(("cross_entropy", "focal"), {"focal": 2.0}, x=-1.0),
                    lambda s: s.focal.slope <= s.cross_entropy.slope,
                ),
            ),
        ),
    ),
    "Weights and shifts of logits answer another question (balanced classes) and no longer give the probability of the "
    "data. Focal answers the same question with other forces.",
)
NOISE = Lesson(
    "Noise",
    "A wrong label looks like a sample that the model contradicts: a margin far below 0. Cross-entropy pulls hardest "
    "right there. Robust losses let go, as tukey lets go of an outlier.",
    (
        Try(
            "Move the margin to −4: the model is sure, the label says the other class.",
            "cross_entropy pulls with {cross_entropy.slope:.2f}, its utmost is −1; gce (q = 0.7) with "
            "{gce.slope:.2f}, mae_prob with {mae_prob.slope:.2f}. Good against wrong labels, bad for samples that "
            "are merely hard.",
            State(("cross_entropy", "gce", "mae_prob"), {"gce": 0.7}, x=-4.0, eta=0.9),
            lambda s: s.cross_entropy.slope < -0.97 and -0.1 < s.gce.slope < 0 and -0.05 < s.mae_prob.slope < 0,
        ),
        Try(
            "η = 0.9, and one label in five is flipped.",
            "cross_entropy says {cross_entropy.best:.2f} = 0.9 · 0.8 + 0.1 · 0.2: it learns the noise, too. gce says "
            "{gce.best:.2f}; mae_prob goes to {mae_prob.best:.2f} with noise or without. All still decide for class 1.",
            State(("cross_entropy", "gce", "mae_prob"), {"gce": 0.7}, x=-4.0, eta=0.9, noise=0.2),
            lambda s: _near(s.cross_entropy.best, 0.74, 0.003) and s.gce.best > 0.9 and s.mae_prob.best > 0.999,
        ),
        Try(
            "forward_correction, which is told the rate 0.2.",
            "It says {forward_correction.best:.2f}, the truth behind the noise. Move its rate to 0.1 and it believes "
            "the labels too much; a wrong rate is the price.",
            State(("cross_entropy", "forward_correction"), {"forward_correction": 0.2}, x=-4.0, eta=0.9, noise=0.2),
            lambda s: _near(s.forward_correction.best, 0.9, 0.003),
            (
                (
                    State(("forward_correction",), {"forward_correction": 0.1}, eta=0.9, noise=0.2),
                    lambda s: 0.74 < s.forward_correction.best < 0.85,
                ),
            ),
        ),
        Try(
            "40 % of the labels flipped.",
            "cross_entropy says {cross_entropy.best:.2f}: hardly a preference, but the decision still is right. With "
            "symmetric noise below one half it always is, given enough data; a finite sample then fits single labels.",
            State(("cross_entropy", "gce"), {"gce": 0.7}, x=-4.0, eta=0.9, noise=0.4),
            lambda s: _near(s.cross_entropy.best, 0.58, 0.003) and s.gce.best > 0.5,
        ),
        Try(
            "Noise and a weight: η = 0.3, rare samples count double, 30 % flipped.",
            "cross_entropy says {cross_entropy.best:.2f} and decides for class 1; without the noise it says 0.46 and "
            "decides for class 0. Noise and weights together can turn a decision.",
            State(("cross_entropy",), x=-4.0, eta=0.3, weight=2.0, noise=0.3),
            lambda s: _near(s.cross_entropy.best, 0.59, 0.005),
            ((State(("cross_entropy",), eta=0.3, weight=2.0), lambda s: _near(s.cross_entropy.best, 0.46, 0.003)),),
        ),
    ),
    "Robust losses give up on what contradicts them. With few wrong labels that costs more than it brings; symmetric "
    "noise shifts probabilities long before it turns decisions.",
)
CALIBRATION = Lesson(
    "Calibration",
    "A prediction of 0.8 should come true in 8 of 10 cases. A loss is proper if it picks p = η for every η: its "
    "curve is the diagonal. Above it (right of 0.5) a loss makes overconfident, below it underconfident.",
    (
        Try(
            "η = 0.8: cross_entropy and brier.",
            "Both say 0.80 ({cross_entropy.best:.2f}, {brier.best:.2f}) and lie on the diagonal: they differ in how "
            "hard they pull, not in where to.",
            State(("cross_entropy", "brier"), x=-3.0),
            lambda s: _near(s.cross_entropy.best, 0.8, 0.003) and _near(s.brier.best, 0.8, 0.003),
        ),
        Try(
            "focal with gamma = 2.",
            "It says {focal.best:.2f}: too modest, on purpose. Large networks are overconfident, so that the two "
            "errors may cancel. Move gamma to 5: more modest still; to 0: the diagonal.",
            State(("cross_entropy", "focal"), {"focal": 2.0}, x=-3.0),
            lambda s: 0.6 < s.focal.best < 0.75,
            (
                (State(("focal",), {"focal": 5.0}), lambda s: s.focal.best < 0.6),
                (State(("focal",), {"focal": 0.0}), lambda s: _near(s.focal.best, 0.8, 0.003)),
            ),
        ),
        Try(
            "label_smoothing of 0.1.",
            "It says {label_smoothing.best:.2f} = 0.9 · 0.8 + 0.1 · 0.5, a straight line that never reaches 0 or 1. "
            "At a margin of 6 its slope is positive ({label_smoothing.slope:.2f}): it pulls back who is too sure.",
            State(("cross_entropy", "label_smoothing"), {"label_smoothing": 0.1}, x=6.0),
            lambda s: _near(s.label_smoothing.best, 0.77, 0.003) and 0.04 < s.label_smoothing.slope < 0.05,
        ),
        Try(
            "hinge, of one logit.",
            "It says {hinge.best:.2f} for every η above 0.5: a margin of 1 read as a probability. hinge knows the "
            "better class, not by how much.",
            State(("cross_entropy", "hinge")),
            lambda s: _near(s.hinge.best, 0.731, 0.003),
            tuple((State(("hinge",), eta=eta), lambda s: _near(s.hinge.best, 0.731, 0.003)) for eta in (0.52, 0.98)),
        ),
        Try(
            "mae_prob and gce with q = 0.7.",
            "gce says {gce.best:.2f}, mae_prob {mae_prob.best:.2f}: what makes them robust makes them overconfident. "
            "gce with q = 0.1 says 0.82, nearly what cross_entropy says.",
            State(("cross_entropy", "gce", "mae_prob"), {"gce": 0.7}, x=-3.0),
            lambda s: s.mae_prob.best > 0.999 > s.gce.best > 0.9,
            ((State(("gce",), {"gce": 0.1}), lambda s: _near(s.gce.best, 0.82, 0.005)),),
        ),
    ),
    "Where probabilities are used (risk, cost, medicine), take a proper loss, or calibrate afterwards. Where only the "
    "decision counts, others may do better.",
)
LESSONS = (OUTLIERS, ASYMMETRY, IMBALANCE, NOISE, CALIBRATION)

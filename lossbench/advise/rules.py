"""The rules of `python -m lossbench.advise`: which problem of the data calls for which losses. Most serious first.

The names in `when` and in braces are those of `lossbench.advise.findings`. "Survey" is Terven et al. 2025, "Loss
Functions and Metrics in Deep Learning", arXiv:2307.02694v5; docs/survey.md says where its print is not followed.
What the task alone calls for is in `rules_of_tasks`. docs/choosing.md is written from both, by
`python scripts/choosing_page.py`.
"""

from lossbench.advise.rule import Advice, Findings, Rule, apply
from lossbench.advise.rules_of_tasks import BY_TASK, CLASSES

__all__ = ["RULES", "advise"]

NUMBERS = ("regression", "count")
TEST_LABELS = (
    "Test labels of your own are as wrong as the others. All losses look worse for it, the robust ones most: check "
    "some hundred test labels by hand."
)
ROBUST_DELTA = (
    "Thresholds such as delta of huber and c of tukey are in robust standard deviations of the target; tune them on "
    "the validation part, by mae_observed."
)

WARM = "warm_start=huber gives tukey, welsch and geman_mcclure a start from which they see errors."

RULES: tuple[Rule, ...] = (
    # Label noise
    Rule(
        problem="wrong labels among many classes", tasks=("multiclass",),
        when=(("wrong_labels", ">=", 0.05), ("classes", ">=", 50)),
        evidence="about {wrong_labels:.0%} of the labels are wrong, among {classes} classes",
        losses=("elr", "sce", "gce", "nce_agce", "jal", "bi_tempered", "bootstrap_hard"),
        because="bounded in part, so that a wrong label pulls little, and yet quick enough for many classes",
        may_cost="purely bounded losses (mae_prob, rce) hardly learn with many classes; these fit somewhat slower",
        metrics=("balanced_accuracy", "accuracy", "nll"),
        misleading=(("memorised", "a low share of memorised labels may be a network that has learned nothing"),),
        axes=(TEST_LABELS, "Select the epoch (compare.select=best_val): later ones memorise wrong labels."),
        source="Liu et al. 2020, arXiv:2007.00151; Wang et al. 2019, arXiv:1908.06112; survey section 14 names only "
        "the problem",
    ),
    Rule(
        problem="wrong labels that go to certain classes", tasks=("multiclass",),
        when=(("wrong_labels", ">=", 0.05), ("wrong_labels_asymmetry", ">=", 0.5), ("classes", "<", 50)),
        evidence="about {wrong_labels:.0%} of the labels are wrong, and they go to certain classes "
        "(asymmetry {wrong_labels_asymmetry:.2f} of 1)",
        losses=("elr", "nce_agce", "gce", "jal", "bi_tempered", "bootstrap_hard", "sce"),
        because="what the network believed early, or an asymmetric bound, outweighs the labels of one direction",
        may_cost="symmetric losses are proven robust only for uniform noise; near half wrong, none can help",
        metrics=("balanced_accuracy", "accuracy", "macro_f1"),
        axes=(
            TEST_LABELS,
            "If you know which class goes to which: loss=forward_correction loss.matrix=[[...]] undoes it.",
        ),
        source="Zhou et al. 2021, arXiv:2106.03110; Patrini et al. 2017, arXiv:1609.03683",
    ),
    Rule(
        problem="wrong labels", tasks=CLASSES, when=(("wrong_labels", ">=", 0.05), ("classes", "<", 50)),
        evidence="about {wrong_labels:.0%} of the labels are wrong",
        losses=("nce_agce", "elr", "truncated_gce", "nce_rce", "gce", "sce", "bi_tempered"),
        because="bounded, so that a wrong label pulls no harder than a right one; cross-entropy memorises it",
        may_cost="slower at first, and little gained where few labels are wrong; less well calibrated",
        metrics=("balanced_accuracy", "accuracy", "macro_f1"),
        misleading=(("nll", "against wrong labels it is lowest for a network that doubts all labels"),),
        axes=(
            TEST_LABELS,
            "If the share is known: loss=forward_correction loss.rate={wrong_labels:.2f}.",
            "mixup=mixup helps, though not with elr, which remembers samples; weighting and posthoc trust the counts "
            "of labels that are wrong.",
        ),
        source="Zhang and Sabuncu 2018, arXiv:1805.07836; Ma et al. 2020, arXiv:2006.13554; survey section 14 names "
        "only the problem",
    ),
    # Class imbalance
    Rule(
        problem="long tail", tasks=("multiclass",), when=(("imbalance", ">=", 20),),
        evidence="the largest class has {imbalance:.3g} times the samples of the smallest",
        losses=("balanced_softmax", "vs", "ldam", "seesaw", "class_balanced_focal", "weighted_cross_entropy"),
        because="logits or margins shifted by class frequency suit balanced accuracy; weights fit the few by heart",
        may_cost="accuracy on the frequent classes, and calibration: probabilities are those of balanced classes",
        metrics=("balanced_accuracy", "macro_f1", "g_mean", "accuracy_few"),
        misleading=(
            ("accuracy", "the frequent classes alone make it high"),
            ("auroc", "optimistic under imbalance, as survey section 3.2.13 says; its section 10.3.3 errs"),
        ),
        axes=(
            "ldam is meant with weighting=drw: a variant, variants.ldam='loss=ldam weighting=drw'.",
            "Correct once: no weighting and no sampler=class_balanced beside balanced_softmax, vs or logit_adjustment.",
            "posthoc=logit_adjustment on cross_entropy is a strong rival that needs no other training.",
        ),
        source="Ren et al. 2020, arXiv:2007.10740; Kini et al. 2021, arXiv:2103.01550; Cao et al. 2019, "
        "arXiv:1906.07413",
    ),
    Rule(
        problem="class imbalance", tasks=("multiclass",), when=(("imbalance", ">=", 2), ("imbalance", "<", 20)),
        evidence="the largest class has {imbalance:.3g} times the samples of the smallest",
        losses=("balanced_softmax", "weighted_cross_entropy", "class_balanced_focal", "ldam", "focal", "poly1"),
        because="rare classes count as much as others; focal and poly1, named by the survey, only turn to hard samples",
        may_cost="accuracy on the frequent classes; large weights make training unsteady",
        metrics=("balanced_accuracy", "macro_f1", "average_precision", "mcc"),
        misleading=(
            ("accuracy", "the frequent classes alone make it high"),
            ("auroc", "optimistic under imbalance, as survey section 3.2.13 says; its section 10.3.3 errs"),
        ),
        axes=(
            "Correct once: no weighting and no sampler=class_balanced beside balanced_softmax.",
            "posthoc=logit_adjustment on cross_entropy is a strong rival that needs no other training.",
        ),
        source="survey sections 3.1 and 13; Menon et al. 2021, arXiv:2007.07314",
    ),
    Rule(
        problem="one rare class of two", tasks=("binary",), when=(("imbalance", ">=", 2),),
        evidence="one class has {imbalance:.3g} times the samples of the other",
        losses=("balanced_softmax", "weighted_bce", "auc_squared_hinge", "ldam", "binary_focal", "aucm"),
        because="both classes count the same, or their order does; focal, named by the survey, turns to hard samples",
        may_cost="precision on the rare class; probabilities are no longer those of the data",
        metrics=("balanced_accuracy", "mcc", "g_mean", "auprc"),
        misleading=(
            ("accuracy", "always saying the frequent class gets a high one"),
            ("auroc", "optimistic under imbalance, as survey section 3.2.13 says; its section 10.3.3 errs"),
        ),
        axes=(
            "A threshold moved on the validation part, or posthoc=logit_adjustment, may do as much as any loss.",
            "f1, precision, recall and auprc are those of class 1: let that be the rare one, or leave them.",
        ),
        source="survey sections 3.1 and 13; Yuan et al. 2021, arXiv:2012.03173",
    ),
    Rule(
        problem="classes with few samples", tasks=CLASSES, when=(("rare_classes", ">=", 1),),
        evidence="{rare_classes} classes have fewer than 20 samples",
        misleading=(("worst_class_recall", "of a class of few samples it jumps with each of them"),),
        axes=("With few samples of a class large weights fit them by heart: effective_number before inverse.",),
        source="Cui et al. 2019, arXiv:1901.05555; Liu et al. 2019, arXiv:1904.05160",
    ),
    # Calibration and small data
    Rule(
        problem="overlapping classes", tasks=CLASSES, when=(("accuracy_probe", "<", 0.9), ("wrong_labels", "<", 0.05)),
        evidence="a plain model is right in {accuracy_probe:.0%}: many samples have no certain class",
        losses=("label_smoothing", "mbls", "flsd53", "brier", "mdca"),
        because="no reward for certainty where there is none, so probabilities can be believed",
        may_cost="much smoothing blurs classes, and what networks know of likeness between them",
        metrics=("balanced_accuracy", "nll", "brier", "adaptive_ece"),
        misleading=(("mce", "the worst bin has the fewest samples"),),
        axes=("posthoc=temperature repairs most of it without another loss: race with it, and without.",),
        source="survey section 3.1 (label smoothing); Mukhoti et al. 2020, arXiv:2002.09437; Guo et al. 2017",
    ),
    Rule(
        problem="hard samples or wrong labels", tasks=CLASSES,
        when=(("accuracy_probe", "<", 0.9), ("wrong_labels", ">=", 0.05), ("wrong_labels_at_most", "==", 1)),
        evidence="a plain model is right in {accuracy_probe:.0%}, so the share of wrong labels may be less",
        losses=("label_smoothing", "flsd53", "brier", "mbls"),
        because="if labels are right and only hard, what fits less certainly is enough",
        may_cost="little against wrong labels, if there are any after all",
        metrics=("balanced_accuracy", "nll", "brier"),
        source="survey section 3.1 (label smoothing); Lukasik et al. 2020, arXiv:2003.02819",
    ),
    Rule(
        problem="few samples", tasks=CLASSES, when=(("samples", "<", 1000),), weak=True, evidence="{samples} samples",
        losses=("label_smoothing", "multiclass_hinge", "squentropy", "confidence_penalty"),
        because="a network fits so few by heart; these stop pulling once a sample is right, or keep logits small",
        may_cost="little; a hinge gives no probabilities worth the name",
        axes=("Few samples ask for a small model, weight decay and early epochs more than for another loss.",),
        source="survey section 3.1; Szegedy et al. 2016, arXiv:1512.00567; Hui et al. 2023, arXiv:2302.03952",
    ),
    Rule(
        problem="few samples for so many features", tasks=(*CLASSES, *NUMBERS, "multilabel"),
        when=(("samples_per_feature", "<", 10),), evidence="{samples_per_feature:.3g} samples for each feature",
        axes=("Drop features or raise optimizer.weight_decay before you choose among losses.",),
        source="survey section 2.2 (adjusted R2)",
    ),
    Rule(
        problem="small test set", tasks=CLASSES, when=(("smallest_difference", ">", 0.02),),
        evidence="the test set decides no difference below {smallest_difference:.3f}",
        axes=("More seeds don't help against a small test set: it decides nothing below {smallest_difference:.3f}.",),
        source="docs/statistics.md",
    ),
    # Outliers and tails of numbers
    Rule(
        problem="outliers above", tasks=NUMBERS, when=(("outliers", ">=", 0.02), ("outliers_side", ">=", 0.5)),
        evidence="{outliers:.1%} of the targets are outliers, most of them too high (side {outliers_side:+.2f})",
        losses=("tukey", "welsch", "geman_mcclure", "cauchy", "mae", "trimmed"),
        because="far errors on one side must have no pull at all, else they shift every prediction upwards",
        may_cost="if the far values are real, they are ignored; from a bad start such losses stand still",
        metrics=("mae", "median_ae", "trimmed_rmse"),
        misleading=(("rmse", "a few far values decide it"), ("r2", "a few far values decide it")),
        axes=(ROBUST_DELTA, WARM),
        source="survey section 2.1; Barron 2019, arXiv:1701.03077; Belagiannis et al. 2015, arXiv:1505.06606",
    ),
    Rule(
        problem="outliers below", tasks=NUMBERS, when=(("outliers", ">=", 0.02), ("outliers_side", "<=", -0.5)),
        evidence="{outliers:.1%} of the targets are outliers, most of them too low (side {outliers_side:+.2f})",
        losses=("tukey", "welsch", "geman_mcclure", "cauchy", "mae", "trimmed"),
        because="far errors on one side must have no pull at all, else they shift every prediction downwards",
        may_cost="if the far values are real, they are ignored; from a bad start such losses stand still",
        metrics=("mae", "median_ae", "trimmed_rmse"),
        misleading=(("rmse", "a few far values decide it"), ("r2", "a few far values decide it")),
        axes=(ROBUST_DELTA, WARM),
        source="survey section 2.1; Barron 2019, arXiv:1701.03077; Belagiannis et al. 2015, arXiv:1505.06606",
    ),
    Rule(
        problem="outliers on both sides", tasks=NUMBERS,
        when=(("outliers", ">=", 0.02), ("outliers_side", ">", -0.5), ("outliers_side", "<", 0.5)),
        evidence="{outliers:.1%} of the targets are outliers, above and below (side {outliers_side:+.2f})",
        losses=("huber", "welsch", "tukey", "mae", "cauchy", "learned_student_t", "log_cosh"),
        because="the pull of an error is bounded, or falls as the error grows",
        may_cost="somewhat less exact where there are no outliers after all; a threshold wants tuning",
        metrics=("mae", "median_ae", "trimmed_rmse"),
        misleading=(("rmse", "a few far values decide it"), ("r2", "a few far values decide it")),
        axes=(ROBUST_DELTA,),
        source="survey section 2.1 and Table 4 (Huber is differentiable at delta, and log-cosh lies below it, unlike "
        "printed); Barron 2019, arXiv:1701.03077",
    ),
    Rule(
        problem="outliers in the inputs", tasks=NUMBERS, when=(("outliers_inputs", ">=", 0.02),),
        evidence="{outliers_inputs:.1%} of the samples have inputs far off the others'", weak=True,
        losses=("trimmed", "tukey", "welsch"),
        because="they may leave out a sample whole; a bounded pull is not enough where far inputs multiply it",
        may_cost="real samples at the edge are left out, too",
        metrics=("mae", "median_ae"),
        axes=("No loss is robust against far inputs by itself: look at them, clip or transform the features first.",),
        source="Rousseeuw 1984, doi:10.1080/01621459.1984.10477105",
    ),
    Rule(
        problem="heavy tails", tasks=NUMBERS, when=(("tails", "<", 6), ("outliers", "<", 0.02)),
        evidence="errors have heavy tails: Student's t with {tails:.1f} degrees of freedom",
        losses=("learned_student_t", "huber", "mae", "cauchy", "log_cosh", "adaptive_robust"),
        because="likelihoods of such errors, or close to them; squared error wastes samples here",
        may_cost="they predict a centre that is not the mean where errors are skewed",
        metrics=("mae", "median_ae", "trimmed_rmse"), misleading=(("max_error", "one sample"),),
        source="survey section 2.1; Lange et al. 1989; Barron 2019, arXiv:1701.03077",
    ),
    # Shape of the target
    Rule(
        problem="mostly zeros", tasks=("regression",), when=(("zeros", ">=", 0.3),),
        evidence="{zeros:.0%} of the targets are 0", losses=("balanced_mse", "focal_r_l2", "smooth_l1"),
        because="squares aim at the mean, which is above 0; the first two keep the few other values from being drowned",
        may_cost="if more than half are 0, mae and its like are content to say 0",
        metrics=("rmse", "r2", "mae_balanced"),
        misleading=(("mae", "saying 0 does well"), ("median_ae", "saying 0 does well"), ("mape", "divides by 0")),
        otherwise=(("amounts from 0, as a count", "data.task=count loss=poisson_nll,tweedie,negative_binomial_nll"),),
        source="Tweedie 1984; survey section 2.2 (MAPE near zero)",
    ),
    Rule(
        problem="counts taken for numbers", tasks=("regression",), when=(("counts", "==", 1), ("dispersion", "<", 100)),
        evidence="targets are whole numbers from 0, of a variance {dispersion:.2g} times their mean",
        axes=("Predictions of regression may be below 0; those of the task count can't.",),
        otherwise=(("counts by their likelihood", "data.task=count loss=poisson_nll,negative_binomial_nll,tweedie"),),
        source="survey section 2.1 (Poisson)",
    ),
    Rule(
        problem="over-dispersed counts", tasks=("count",), when=(("dispersion", ">=", 1.5),),
        evidence="the variance of the counts is {dispersion:.2g} times their mean; Poisson's is as large as it",
        losses=("negative_binomial_nll", "tweedie", "huber", "mse"),
        because="their variance may exceed the mean, so that large counts don't outweigh the rest",
        may_cost="one more number is learned, or chosen (loss.power); no gain where the dispersion is 1",
        metrics=("poisson_deviance", "d2", "rmse"),
        source="Cameron and Trivedi 1986; survey section 2.1 cautions of Poisson",
    ),
    Rule(
        problem="more zeros than counts explain", tasks=("count",), when=(("zeros", ">=", 0.3),),
        evidence="{zeros:.0%} of the counts are 0", losses=("tweedie", "negative_binomial_nll", "poisson_nll"),
        because="they give 0 a mass of its own, or a wide spread that reaches it",
        may_cost="the power of tweedie wants tuning; a model of two parts (is it 0? how many?) may be better still",
        metrics=("poisson_deviance", "d2", "rmse"),
        misleading=(("mae", "saying 0 does well"), ("median_ae", "saying 0 does well")),
        source="Jorgensen 1987; Cameron and Trivedi 1986",
    ),
    Rule(
        problem="spread that grows", tasks=("regression",), when=(("spread_grows", ">=", 0.2),),
        evidence="errors grow with the prediction (rank correlation {spread_grows:.2f})",
        losses=("log_cosh", "huber", "mae", "learned_student_t"),
        because="samples of wide spread have large errors that say little; their pull is bounded",
        may_cost="one width for all samples, so no interval can be trusted", metrics=("mae", "rmse", "spearman"),
        misleading=(("r2", "the widest samples decide it"),),
        axes=("If the spread is in proportion to the value, train on its logarithm.",),
        otherwise=(
            ("distributions, with intervals", "loss=beta_nll,gaussian_nll,crps_gaussian,quantile_set"),
        ),
        source="survey Table 4 (quantile); Seitzer et al. 2022, arXiv:2203.09168",
    ),
    Rule(
        problem="skewed target", tasks=("regression",), when=(("skew", ">=", 1.0),),
        evidence="targets are skewed to the right (skewness {skew:.2f})", losses=("log_cosh", "mae", "msle", "huber"),
        because="large values don't drown the others; msle counts relative errors",
        may_cost="they predict a middle below the mean: sums of predictions come out too low",
        metrics=("mae", "rmse", "spearman"),
        misleading=(("mape", "near 0 it explodes, and it rewards predicting too low"),),
        axes=("msle asks for targets from 0 on and data.standardize=none; or train on the logarithm.",),
        otherwise=(("relative errors", "data.standardize=none loss=mse,msle,mae"),),
        source="survey sections 2.1 and 2.2",
    ),
    Rule(
        problem="skewed to the left", tasks=("regression",), when=(("skew", "<=", -1.0),),
        evidence="targets are skewed to the left (skewness {skew:.2f})", losses=("log_cosh", "mae", "huber"),
        because="small values don't drown the others",
        may_cost="they predict a middle above the mean: sums of predictions come out too high",
        metrics=("mae", "rmse", "spearman"), source="survey section 2.1",
    ),
    Rule(
        problem="rare targets", tasks=("regression",), when=(("rare_targets", ">=", 0.3),),
        evidence="{rare_targets:.0%} of the range of the targets has few samples",
        losses=("balanced_mse", "focal_r_l1", "focal_r_l2", "mae"),
        because="the mean over samples hardly sees where targets are rare",
        may_cost="errors grow where samples are many", metrics=("mae_balanced", "mae_few", "mae"),
        misleading=(("r2", "the extremes decide it"),),
        axes=("weighting=lds weighs any of them by the density of the target.",),
        source="Yang et al. 2021, arXiv:2102.09554; Ren et al. 2022, arXiv:2203.16427",
    ),
    # Several labels
    Rule(
        problem="few labels among many", tasks=("multilabel",), when=(("negatives_per_positive", ">=", 3),),
        evidence="{negatives_per_positive:.3g} absent labels for each one that is there",
        losses=(
            "multilabel_asymmetric", "multilabel_two_way", "distribution_balanced", "multilabel_zlpr",
            "multilabel_weighted_bce", "multilabel_focal",
        ),
        because="easy absent labels lose their pull, or labels are ranked instead",
        may_cost="probabilities: those of multilabel_asymmetric are too high, a ranking has none",
        metrics=("map", "macro_f1", "micro_f1"),
        misleading=(
            ("hamming_accuracy", "saying that no label is there does well"),
            ("subset_accuracy", "one label of many decides"),
        ),
        source="survey section 4.1; Ridnik et al. 2021, arXiv:2009.14119; Wu et al. 2020, arXiv:2007.09654",
    ),
    *BY_TASK,
)  # fmt: skip
"""In the order in which they name losses."""


def advise(findings: Findings, task: str) -> Advice:
    """Say which losses are worth trying on data of which something was found.

    Parameters
    ----------
    findings : mapping of str to Finding
        By name, as `lossbench.advise.findings.look` returns them.
    task : str
        What is predicted, such as "multiclass".

    Returns
    -------
    Advice
        At most six losses, the baseline of the task among them; the same findings give the same advice.

    Examples
    --------
    >>> advise({}, "regression").losses
    ('mse', 'huber', 'mae', 'log_cosh', 'learned_student_t', 'smooth_l1')

    """
    return apply(RULES, findings, task)

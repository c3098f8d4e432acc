"""The rules that look at nothing but the task: what is worth trying where nothing was found. See `rules`."""

from lossbench.advise.rule import Rule

CLASSES = ("multiclass", "binary")
LEARNING_RATE = (
    "Losses differ in scale, and so in the learning rate that suits them: optimizer.calibrate=gradient, or "
    "lossbench.tune in place of lossbench.race, gives each the same chance."
)

BY_TASK: tuple[Rule, ...] = (
    Rule(
        problem="classes", tasks=CLASSES, source="survey sections 3.1 and 3.2",
        losses=("label_smoothing", "poly1", "squentropy", "brier", "focal"),
        because="cheap variations of cross-entropy", may_cost="hardly anything",
        metrics=("balanced_accuracy", "accuracy", "macro_f1", "nll"),
        axes=(LEARNING_RATE,),
    ),
    Rule(
        problem="numbers", tasks=("regression",), source="survey section 2.1 and Table 4",
        losses=("huber", "mae", "log_cosh", "learned_student_t", "smooth_l1"),
        because="squared error is best for normal errors; these are nearly as good, and safer",
        may_cost="a few per cent of precision where errors are normal", metrics=("mae", "rmse", "r2"),
        misleading=(("mape", "explodes near 0"),),
        axes=(
            LEARNING_RATE,
            "If too low costs otherwise than too high: quantile, expectile or linex; they predict another number.",
        ),
    ),
    Rule(
        problem="counts", tasks=("count",), source="survey section 2.1 (Poisson)",
        losses=("negative_binomial_nll", "tweedie", "huber", "mae", "mse"),
        because="counts by their likelihood, against plain numbers", may_cost="hardly anything",
        metrics=("poisson_deviance", "mae", "rmse"), axes=(LEARNING_RATE,),
    ),
    Rule(
        problem="several labels", tasks=("multilabel",),
        source="survey section 4.1; Ridnik et al. 2021, arXiv:2009.14119",
        losses=(
            "multilabel_asymmetric", "multilabel_label_smoothing", "multilabel_zlpr", "multilabel_focal",
            "multilabel_two_way",
        ),
        because="other balances of present and absent labels", may_cost="calibration",
        metrics=("map", "macro_f1", "micro_f1"), axes=(LEARNING_RATE,),
    ),
    Rule(
        problem="distributions", tasks=("distributional",),
        source="Seitzer et al. 2022, arXiv:2203.09168; survey section 2.1",
        losses=("beta_nll", "crps_gaussian", "student_t_nll", "quantile_set", "heteroscedastic_laplace_nll"),
        because="the likelihood alone neglects samples it thinks wide",
        may_cost="crps and quantiles give no exact density",
        metrics=("crps", "nll", "coverage_error_90"),
        misleading=(("width_90", "narrow is good only where the coverage is right"),),
    ),
    Rule(
        problem="masks", tasks=("segmentation",),
        source="survey section 6.1 and Table 13 (alpha of Tversky turned round)",
        losses=("dice_ce", "dice", "lovasz_softmax", "focal_tversky", "pixel_focal"),
        because="overlap counts regions the same however small; with cross-entropy it is steady too",
        may_cost="unsteady where a region is tiny; probabilities go to 0 and 1",
        metrics=("miou_pooled", "dice_image", "boundary_f1"),
        misleading=(("pixel_accuracy", "background alone makes it high"),),
        axes=("For missed regions raise beta of tversky, not alpha, which weighs false positives.",),
    ),
    Rule(
        problem="boxes", tasks=("boxes",),
        source="survey section 5.1 and Table 11; Zheng et al. 2020, arXiv:1911.08287",
        losses=("box_ciou", "box_diou", "box_giou", "box_eiou", "box_smooth_l1"),
        because="the overlap itself, with a pull even where boxes don't meet; box_iou has none there",
        may_cost="slower than distances while boxes are far apart", metrics=("error", "iou", "stuck"),
    ),
    Rule(
        problem="objects in pictures", tasks=("detection",),
        source="survey section 5.1; Zhang et al. 2021, arXiv:2008.13367",
        losses=("quality_focal", "varifocal", "box_giou", "box_ciou", "dense_ghm_c"),
        because="nearly all places are background; overlap is what is judged",
        may_cost="gamma and alpha want tuning", metrics=("ap", "ap75", "ar_100"),
        misleading=(("ap50", "loose boxes do as well as tight ones"),),
    ),
    Rule(
        problem="depth", tasks=("depth",), source="survey section 8.1 and Table 16; Eigen et al. 2014, arXiv:1406.2283",
        losses=("silog_root", "depth_log_l1", "depth_berhu", "silog", "ssi_trimmed"),
        because="errors relative to distance, or without the unknown scale",
        may_cost="without a scale there is no absolute depth", metrics=("abs_rel", "delta_1", "rmse_log"),
        misleading=(("rmse", "far pixels decide it"),),
        axes=("Without true depth: photometric, minimum_reprojection or monodepth, from other views.",),
    ),
    Rule(
        problem="embeddings", tasks=("embedding",), source="survey section 7.1 and Table 15 (margins as in the papers)",
        losses=("proxy_anchor", "multi_similarity", "embedding_arcface", "sup_con", "embedding_triplet"),
        because="what is compared later are distances, and these losses shape them",
        may_cost="margins and scales want tuning; pairs want sampler=pk", metrics=("map_at_r", "recall_at_1", "eer"),
        misleading=(("nmi", "depends on a clustering more than on the vectors"),),
    ),
    Rule(
        problem="retrieval", tasks=("retrieval",),
        source="survey section 11.1 (margin ranking is not RankNet); Burges et al. 2005",
        losses=("list_net", "lambda_rank", "rank_net", "score_distillation", "score_margin_ranking"),
        because="lists and pairs of passages, as ranks are judged", may_cost="more passages to each query",
        metrics=("ndcg_at_10", "mrr", "recall_at_10"),
        misleading=(("recall_at_100", "of few passages nearly all are found"),),
        axes=("BM25 is a row of every table: a loss that doesn't beat it isn't worth its network.",),
    ),
    Rule(
        problem="lines without alignment", tasks=("sequence",), source="survey section 10.1 (CTC)",
        losses=("focal_ctc", "ctc_entropy", "ctc_confidence_penalty", "framewise_cross_entropy"),
        because="CTC sums over alignments, and tends to spikes and blanks, which these temper",
        may_cost="order must be kept; one more weight", metrics=("cer", "wer", "exact_line"),
        misleading=(("frame_accuracy", "blanks alone make it high"),),
    ),
    Rule(
        problem="texts", tasks=("text",), source="survey section 10.1; Welleck et al. 2020, arXiv:1908.04319",
        losses=("token_label_smoothing", "token_focal", "unlikelihood"),
        because="less certain, or less repetitive", may_cost="perplexity, which is that of cross-entropy itself",
        metrics=("perplexity", "bits_per_character"),
    ),
    Rule(
        problem="translations", tasks=("translation",),
        source="survey sections 10.1 and 10.2; Shen et al. 2016, arXiv:1512.02433",
        losses=("token_label_smoothing", "structured_hinge", "token_focal", "unlikelihood"),
        because="less certain, less repetitive, or a margin in place of a likelihood",
        may_cost="perplexity, which is that of cross-entropy itself", metrics=("exact_match", "bleu", "chrf"),
        misleading=(("token_accuracy", "the beginning is always the true one"),),
        axes=(
            "minimum_risk and reinforce judge whole translations; they learn next to nothing from random weights: "
            "warm_start=token_cross_entropy.",
        ),
    ),
    Rule(
        problem="autoencoders", tasks=("vae",), source="survey section 9.1",
        losses=("vae_gaussian", "vae_l1", "vae_perceptual", "vae_style"),
        because="pixels blur; features keep texture", may_cost="a network of features; ELBOs don't compare",
        metrics=("frechet", "ssim", "psnr"), misleading=(("neg_elbo", "each loss has its own unit"),),
    ),
    Rule(
        problem="generation against a critic", tasks=("gan",),
        source="survey section 9.1 (signs as in the papers); Gulrajani et al. 2017",
        losses=("wgan_gp", "hinge_gan", "r1_gan", "relativistic_average_gan", "least_squares_gan"),
        because="steadier against a critic that is too good, and against lost modes",
        may_cost="second gradients and more critic steps", metrics=("sliced_wasserstein", "frechet", "modes_covered"),
        misleading=(("inception_score", "blind to lost samples within a class"),),
    ),
    Rule(
        problem="generation from noise", tasks=("denoising",),
        source="survey section 9.1; Lipman et al. 2023, arXiv:2210.02747",
        losses=("flow_matching", "denoise_min_snr", "denoise_huber", "denoise_l1"),
        because="other weights of the steps", may_cost="losses of different targets don't compare",
        metrics=("sliced_wasserstein", "frechet"),
    ),
    Rule(
        problem="generation by an energy", tasks=("energy",), source="survey section 9.1 (signs turned)",
        losses=("noise_contrastive",), because="no chain to wait for", may_cost="noise must be near the data",
        metrics=("sliced_wasserstein", "log_likelihood"),
    ),
    Rule(
        problem="several tasks of one network", tasks=("digit_pair", "scene_parts"),
        source="survey section 12; Caruana 1997, doi:10.1023/A:1007379606734; Maninis et al. 2019, arXiv:1904.08918",
        axes=(
            "Each part has the loss that is plain for it; loss.terms.PART=LOSS gives it another.",
            "combine=sum,alone,uncertainty,upgrad in a sweep says whether the parts help or hinder each other, and "
            "whether to balance them; combine=random_weighting is what a method must beat.",
        ),
    ),
    Rule(
        problem="one loss only", tasks=("flow", "transduction"),
        source="survey section 9.1; Graves 2012, arXiv:1211.3711",
        axes=("There is one loss for this task: compare models, not losses.",),
    ),
)  # fmt: skip
"""In the order in which they name losses, after those of a finding."""

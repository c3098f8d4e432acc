"""How the survey pairs tasks and problems with losses and metrics: its Tables 1 to 8 and 11 to 21, nothing left out.

What stands in backquotes is here: a loss by its name in conf/loss, a metric as task/metric, a metric of answers from
documents as rag/metric, a setting as group=choice. What is followed by a dagger is not.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pairing:
    """A row of the survey.

    Parameters
    ----------
    what : str
        A task, or a problem of the data.
    losses, metrics : str
        Those of the survey, with their names here.
    caution : str
        The survey's.
    beyond : str
        What the survey lacks.

    """

    what: str
    losses: str
    metrics: str
    caution: str = ""
    beyond: str = ""


_CE = "token cross-entropy `token_cross_entropy`"
_PRF = (
    "accuracy `multiclass/accuracy`, precision `multiclass/macro_precision`, recall `multiclass/balanced_accuracy`, "
    "F1 `multiclass/macro_f1`"
)
_TEXT_CE = "token cross-entropy `cross_entropy` (of whole texts)"
_MULTICLASS = (
    "categorical and sparse categorical cross-entropy `cross_entropy`, weighted cross-entropy "
    "`weighted_cross_entropy`, label smoothing `label_smoothing`, focal `focal`, PolyLoss `poly1`, `poly1_focal`, "
    "hinge "
    "`multiclass_hinge`, `weston_watkins`"
)

TASKS = (
    Pairing(
        "Regression",
        "MSE `mse`, MAE `mae`, Huber `huber`, log-cosh `log_cosh`, quantile `quantile`, Poisson `poisson_nll`",
        "MSE `regression/mse`, MAE `regression/mae`, RMSE `regression/rmse`, MAPE `regression/mape`, SMAPE "
        "`regression/smape`, R² `regression/r2`, adjusted R² `regression/adjusted_r2`",
    ),
    Pairing(
        "Binary classification",
        "BCE `bce`, weighted cross-entropy `weighted_bce`, hinge `hinge`, `squared_hinge`, focal `binary_focal`",
        "accuracy `binary/accuracy`, precision `binary/precision`, recall `binary/recall`, F1 `binary/f1`, AUC-ROC "
        "`binary/auroc`, precision-recall curve `binary/auprc`",
    ),
    Pairing(
        "Multi-class classification", _MULTICLASS,
        f"{_PRF}, precision-recall curve `multiclass/average_precision`",
    ),
    Pairing(
        "Image classification", f"{_MULTICLASS}; BCE for several labels `multilabel_bce`",
        f"{_PRF}, top-k `multiclass/top5_accuracy`, per class `multiclass/f1`, balanced accuracy "
        "`multiclass/balanced_accuracy`, several labels `multilabel/macro_precision`, `multilabel/macro_recall`, "
        "`multilabel/macro_f1`; the confusion matrix is a picture of every report",
    ),
    Pairing(
        "Object detection",
        "smooth L1 `box_smooth_l1`, balanced L1 `box_balanced_l1`, IoU `box_iou`, GIoU `box_giou`, DIoU `box_diou`, "
        "CIoU "
        "`box_ciou`, focal `dense_focal`, YOLO `yolo_v1`, Wing `box_wing`",
        "AP `detection/ap`, AR `detection/ar_100`",
    ),
    Pairing(
        "Semantic segmentation",
        "cross-entropy `pixel_cross_entropy`, `pixel_bce`, IoU `jaccard`, Dice `dice`, Tversky `tversky`, Lovász "
        "`lovasz_softmax`, `lovasz_hinge`, focal `pixel_focal`",
        "IoU `segmentation/miou_pooled`, pixel accuracy `segmentation/pixel_accuracy`, AP `segmentation/ap`, boundary "
        "F1 "
        "`segmentation/boundary_f1`, AR †",
    ),
    Pairing(
        "Instance segmentation",
        "cross-entropy `pixel_cross_entropy`, IoU `jaccard`, smooth L1 `box_smooth_l1`; no task here has both masks "
        "and "
        "objects †",
        "mask AP †, AR †",
    ),
    Pairing(
        "Panoptic segmentation", "cross-entropy `pixel_cross_entropy`, Dice `dice`, `dice_ce`",
        "panoptic quality `segmentation/pq`",
    ),
    Pairing(
        "Face recognition",
        "A-Softmax `sphereface`, center `center_loss`, CosFace `embedding_cosface`, ArcFace `embedding_arcface`, "
        "triplet "
        "`embedding_triplet`, contrastive `embedding_contrastive`, circle `circle`, Barlow Twins `barlow_twins`, "
        "SimSiam "
        "`sim_siam`",
        f"{_PRF}; of vectors `embedding/verification_auc`, `embedding/eer`, `embedding/recall_at_1`",
    ),
    Pairing(
        "Monocular depth",
        "point-wise `depth_mae`, `depth_mse`, scale-invariant `silog`, SSIM `depth_ssim`, photometric `photometric`, "
        "smoothness `edge_aware_smoothness`, appearance matching `appearance_matching`, left-right consistency "
        "`left_right_consistency`, BerHu `depth_berhu`, edges `depth_gradient`, minimum reprojection "
        "`minimum_reprojection`, scale and shift `ssi`, `ssi_trimmed`, gradients of several scales "
        "`depth_multiscale_gradient`",
        "AbsRel `depth/abs_rel`, RMSE `depth/rmse`, RMSE of logarithms `depth/rmse_log`, delta `depth/delta_1`, log10 "
        "`depth/log10`, high errors `depth/high_error`, WHDR `depth/whdr`, scale-invariant `depth/scale_invariant`",
    ),
    Pairing(
        "Image generation",
        "reconstruction `vae_gaussian`, `vae_bernoulli`, Kullback-Leibler (a term of these), perceptual "
        "`vae_perceptual`, "
        "adversarial `minimax_gan`, `non_saturating`, Wasserstein `wasserstein`, `wgan_gp`, likelihood of flows "
        "`flow_nll`, contrastive divergence `contrastive_divergence`",
        "PSNR `vae/psnr`, SSIM `vae/ssim`, inception score `gan/inception_score`, FID `gan/frechet`",
    ),
    Pairing(
        "Text classification", f"{_TEXT_CE}, hinge `multiclass_hinge`", f"{_PRF}, AUC-ROC `multiclass/auroc`",
    ),
    Pairing("Language detection", f"{_TEXT_CE}, hinge `multiclass_hinge`", _PRF),
    Pairing("Language modelling", _CE, "perplexity `text/perplexity`, BLEU `translation/bleu`, ROUGE "
    "`translation/rouge_l`"),
    Pairing(
        "Machine translation", f"{_CE}, minimum risk `minimum_risk`, REINFORCE `reinforce`",
        "BLEU `translation/bleu`, ROUGE `translation/rouge_l`, perplexity `translation/perplexity`, exact match "
        "`translation/exact_match`",
    ),
    Pairing(
        "Summarisation", f"{_CE}, minimum risk `minimum_risk`, REINFORCE `reinforce`",
        "BLEU `translation/bleu`, ROUGE `translation/rouge_l`, `translation/rouge_2`, exact match "
        "`translation/exact_match`",
    ),
    Pairing(
        "Named entities, parts of speech", f"{_CE}; no task here has a label for each word †",
        f"{_PRF}; exact match `translation/exact_match`",
    ),
    Pairing(
        "Sentiment", f"{_TEXT_CE}, hinge `hinge`, `multiclass_hinge`, cosine `token_cosine`, circle `circle`",
        f"{_PRF}, AUC-ROC `multiclass/auroc`, `binary/auroc`",
    ),
    Pairing(
        "Question answering", f"{_CE}, hinge `structured_hinge`, cosine `token_cosine`",
        "precision, recall and F1 of tokens `translation/token_f1`, exact match `translation/exact_match`",
    ),
    Pairing(
        "Retrieval-augmented generation",
        f"{_CE}, contrastive `info_nce`, `score_contrastive`, margin ranking `score_margin_ranking`, likelihood "
        "`token_cross_entropy`, Kullback-Leibler `score_distillation`",
        "RAGAS: `rag/answer_similarity`, `rag/answer_correctness`, `rag/answer_relevance`, `rag/context_precision`, "
        "`rag/context_recall`, `rag/faithfulness`, `rag/summarisation`, `rag/context_entity_recall`, "
        "`rag/aspect_critique`; ARES: `rag/context_relevance`, `rag/answer_faithfulness`, `rag/answer_relevance_ares`",
    ),
    Pairing(
        "Speech recognition", "CTC `ctc`", "WER `sequence/wer`, CER `sequence/cer`, perplexity †",
    ),
)  # fmt: skip
"""The survey's Tables 1 to 3."""

PROBLEMS = (
    Pairing(
        "Near-normal errors, few outliers", "MSE `mse`", "RMSE `regression/rmse`, R² `regression/r2`",
        "depends on the scale, sensitive to outliers", "`gaussian_nll_global`, `gaussian_nll`",
    ),
    Pairing(
        "Outliers, heavy tails",
        "MAE `mae`, Huber `huber`, smooth L1 `smooth_l1`, log-cosh `log_cosh`; by task Wing `wing`, BerHu `berhu`",
        "MAE `regression/mae` rather than RMSE `regression/rmse`; MAPE `regression/mape` explodes near 0",
        "the threshold must be tuned",
        "`general_robust`, `tukey`, `cauchy`, `welsch`, `student_t`; `regression/median_ae`, `regression/trimmed_rmse`",
    ),
    Pairing(
        "Asymmetric cost, intervals, skew, spread that varies", "quantile `quantile`, `quantile_set`", "none",
        "pick the quantiles",
        "`beta_nll`, `crps_gaussian`, `expectile`, `linex`; `distributional/coverage_90`, `distributional/pinball`",
    ),
    Pairing(
        "Counts", "Poisson `poisson_nll`", "none", "low counts, over-dispersion",
        "`negative_binomial_nll`, `tweedie`; `count/poisson_deviance`",
    ),
    Pairing(
        "Targets of varying scale", "none", "MAPE `regression/mape`, SMAPE `regression/smape`, NRMSE "
        "`regression/nrmse`",
        "zeros", "`msle`; `regression/wmape`",
    ),
    Pairing(
        "Class imbalance",
        "weighted cross-entropy `weighted_cross_entropy`, `weighted_bce`, focal `focal`, PolyLoss `poly1`",
        "balanced accuracy `multiclass/balanced_accuracy`, F1 and F-beta `multiclass/macro_f1`, `multiclass/macro_f2`, "
        "precision-recall curve `multiclass/average_precision`, means over classes `multiclass/macro_precision`; not "
        "accuracy `multiclass/accuracy`",
        "large weights are unsteady; ROC `multiclass/auroc` is optimistic",
        "`class_balanced`, `ldam` with `weighting=drw`, `balanced_softmax`, `logit_adjustment`, `vs`, `seesaw`; "
        "`multiclass/accuracy_many`, `multiclass/accuracy_medium`, `multiclass/accuracy_few`, `multiclass/g_mean`, "
        "`multiclass/mcc`",
    ),
    Pairing(
        "Imbalance among several labels", "weighted BCE of each label `multilabel_weighted_bce`, focal "
        "`multilabel_focal`",
        "micro and macro F1 `multilabel/micro_f1`, `multilabel/macro_f1`, AP of each label `multilabel/ap`", "",
        "`multilabel_asymmetric`, `distribution_balanced`, `multilabel_two_way`, `multilabel_zlpr`; `multilabel/map`",
    ),
    Pairing(
        "Foreground and background in detection", "focal `dense_focal`",
        "AP `detection/ap`, AR by size †", "gamma and alpha", "`quality_focal`, `varifocal`; EQL of detectors †",
    ),
    Pairing(
        "Small regions in segmentation",
        "Dice `dice`, Tversky `tversky`, focal `pixel_focal`, Lovász `lovasz_softmax`, often cross-entropy and Dice "
        "`dice_ce`",
        "IoU `segmentation/miou_pooled`, Dice `segmentation/dice_image`, boundary F1 `segmentation/boundary_f1`; not "
        "pixel "
        "accuracy `segmentation/pixel_accuracy`",
        "unsteady where the overlap is tiny", "`generalized_dice`, `focal_tversky`; unified focal †",
    ),
    Pairing(
        "False positives and misses cost differently",
        "Tversky `tversky`, weighted cross-entropy `weighted_bce`, `weighted_cross_entropy`",
        "precision `binary/precision`, recall `binary/recall`, specificity `binary/specificity`, NPV `binary/npv`, FDR "
        "`binary/fdr`, F-beta `binary/f2`, `binary/f0.5`",
        "pick by harm; alpha of Tversky weighs false positives, so raise beta for misses (printed the other way)",
        "Neyman-Pearson †",
    ),
    Pairing(
        "Over-confidence, noisy data", "label smoothing `label_smoothing`", "none", "much of it blurs classes",
        "`flsd53`, `dual_focal`, `mbls`, `mmce`, `brier`, `mdca`, `posthoc=temperature`; `multiclass/ece`, "
        "`multiclass/brier`, `multiclass/nll`",
    ),
    Pairing(
        "Label noise", "only named", "none", "",
        "`gce`, `sce`, `nce_rce`, `nce_agce`, `anl_ce`, `jal`, `elr`, `bi_tempered`, `forward_correction`, `js`, "
        "`taylor_ce`, `peer_loss`; `multiclass/clean_accuracy`",
    ),
    Pairing(
        "Boxes that don't overlap; errors of centre and aspect", "GIoU `box_giou`; DIoU `box_diou`, CIoU `box_ciou`",
        "AP75 `detection/ap75`, AP50:95 `detection/ap`", "", "`box_eiou`, `box_siou`",
    ),
    Pairing(
        "Depth of unknown scale", "scale-invariant `silog`, scale and shift `ssi`",
        "scale-invariant error `depth/scale_invariant`, RMSE of logarithms `depth/rmse_log`, delta `depth/delta_1`; "
        "WHDR "
        "`depth/whdr` for ordinal labels",
        "absolute scale is lost", "`ssi_trimmed`, `silog_root`",
    ),
    Pairing(
        "Occlusion, no true depth",
        "minimum reprojection `minimum_reprojection`, photometric and smoothness `photometric`, "
        "`edge_aware_smoothness`, "
        "left-right `left_right_consistency`",
        "as above: `depth/scale_invariant`, `depth/rmse_log`, `depth/delta_1`", "brightness must be constant",
        "auto-mask (a part of `minimum_reprojection`)",
    ),
    Pairing(
        "Blur in generation", "perceptual `vae_perceptual`, adversarial `non_saturating`",
        "FID `vae/frechet`, `gan/frechet`, inception score `vae/inception_score`; PSNR `vae/psnr` and SSIM `vae/ssim` "
        "only "
        "with a reference",
        "Inception is biased", "LPIPS †; KID `vae/kernel_distance`",
    ),
    Pairing(
        "Unsteady GANs, lost modes", "Wasserstein with a gradient penalty `wgan_gp`, `wasserstein`",
        "FID `gan/frechet`",
        "the Lipschitz bound costs time", "`hinge_gan`, `r1_gan`; spectral norm †; `gan/modes_covered`",
    ),
    Pairing(
        "Exposure bias, goals of whole sequences",
        "minimum risk `minimum_risk`, REINFORCE `reinforce`, often mixed with cross-entropy `token_cross_entropy`",
        "BLEU `translation/bleu`, ROUGE `translation/rouge_l`, METEOR `translation/meteor_2005`",
        "variance, sampling costs",
        "scheduled sampling (a setting of the learner)",
    ),
    Pairing(
        "Sequences without alignment", "CTC `ctc`", "WER `sequence/wer`, CER `sequence/cer`", "order must be kept",
        "`rnn_transducer`",
    ),
    Pairing(
        "Quality of retrieval", "contrastive `score_contrastive`, margin ranking `score_margin_ranking`",
        "context precision, recall and relevance `rag/context_precision`, `rag/context_recall`, "
        "`rag/context_relevance`",
        "", "`info_nce`; `retrieval/ndcg_at_10`, `retrieval/mrr`",
    ),
    Pairing(
        "Hallucination in answers", "cross-entropy and likelihood `token_cross_entropy`, Kullback-Leibler "
        "`score_distillation` (of a retriever; of a generator †)",
        "faithfulness `rag/faithfulness`, answer correctness `rag/answer_correctness`",
        "judges that are models are biased",
    ),
    Pairing(
        "Several goals at once", "weighted sum of losses `weighted_sum`", "one metric for each goal",
        "gradients in conflict", "uncertainty weighting, GradNorm, PCGrad and others †",
    ),
)  # fmt: skip
"""The survey's Tables 4 to 8 and 11 to 21, with section 13."""

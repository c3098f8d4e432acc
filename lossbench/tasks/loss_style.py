"""How a loss is drawn: one colour, one line style and one marker, in every picture, page and report.

The style comes from the label alone, so it is the same beside whatever stands next to it. A loss of `PLACES` has the
style of its place in its row: 8 colours, 5 dashes and 7 markers take turns, so that two losses of a row differ in
colour or dashes unless they stand 40 places apart, and then in the marker. A loss that isn't there has a style by the
hash of its name: a new loss in the catalogue changes no other one. To choose its style, append it to its row; a name
never changes its place. What stands in a row is what is compared. Those that the rules of advice, the docs and the
gallery set beside each other differ in dashes, or else in lightness as well as in colour; nearly all differ in colour.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

COLORS = ("#0380e7", "#ba5316", "#863187", "#6bc275", "#e9a206", "#5e553a", "#1abef3", "#b28398")
"""Blue, rust, purple, green, amber, olive, sky, pink: at least 30 apart in CIE Lab (1976), also as seen without red or
green cones (Machado et al. 2009, doi:10.1109/TVCG.2009.113), and of a lightness of 36 to 72.

So they can be seen on white and on dark pages."""
DASHES: tuple[tuple[int, ...], ...] = ((), (7, 3), (2, 2), (10, 2, 2, 2), (5, 2, 1, 2, 1, 2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CARRIERS = ("several_tasks", "weighted_sum")
"""Losses made of others: what is compared, and has the colour, is the way in which their terms are combined."""
PLACES = {
    "classification": """
        cross_entropy flsd53 edl binary_focal vs logit_norm nce_aul ovr_asymmetric dual_focal class_balanced
        weighted_cross_entropy asymmetric_single_label ovr_bce arcface peer_loss dca bootstrap_soft
        forward_correction bce anl_ce nce_rce poly1_focal group_dro eps_softmax margin_family phuber_ce
        nce_mae softmax_eql bootstrap_hard truncated_gce cosface hinge squared_hinge mae_prob
        influence_balanced cores2 taylor_ce class_balanced_focal class_balanced_bce sce mmce logit_clip
        two_way nfl_rce norm_softmax ael mbls distillation rce label_smoothing_bce expression focal cdt
        nce_ael aucm agce weighted_sum weston_watkins nfl nce_agce auc_squared_hinge weighted_bce
        confidence_penalty zlpr backward_correction ovr_ghm_c eql_v2 mdca label_smoothing brier poly1
        squentropy eql bi_tempered amse aul binary_asymmetric ovr_focal seesaw balanced_softmax js ldam gce
        taylor logit_adjustment jal elr nce ghm_c multiclass_hinge
    """,
    "numbers and counts": """
        mse linex geman_mcclure msle tweedie mae huber poisson_nll laplace_nll adaptive_robust
        gaussian_nll_global berhu quantile expression_residual l2 charbonnier balanced_l1 focal_r_l1 student_t
        cauchy learned_student_t general_robust welsch smooth_l1 robust_family pseudo_huber
        negative_binomial_nll focal_r_l2 trimmed wing balanced_mse l1 expectile tukey log_cosh spline_residual
    """,
    "distributions": """
        gaussian_nll crps_gaussian beta_nll quantile_set heteroscedastic_laplace_nll student_t_nll evidential
        hl_gauss mixture_density
    """,
    "several labels": """
        multilabel_bce multilabel_asymmetric multilabel_focal multilabel_two_way multilabel_zlpr
        distribution_balanced multilabel_label_smoothing multilabel_weighted_bce multilabel_class_balanced
        multilabel_eql
    """,
    "segmentation": """
        pixel_cross_entropy dice lovasz_softmax dice_ce focal_tversky pixel_focal boundary cl_dice
        dice_squared exponential_logarithmic generalized_dice hausdorff_dt jaccard log_cosh_dice lovasz_hinge
        mask_ssim pixel_bce pixel_top_k pixel_weighted_cross_entropy power_jaccard region_mutual_information
        sensitivity_specificity tversky
    """,
    "boxes and detection": """
        box_l1 box_eiou quality_focal box_alpha_iou yolo_v1 box_wing box_smooth_l1 varifocal dense_bce
        dense_focal box_diou box_siou box_iou box_giou box_balanced_l1 box_wasserstein box_focal_eiou box_mse
        box_log_iou box_ciou dense_ghm_c box_dfl
    """,
    "depth": """
        depth_mae silog depth_berhu depth_log_l1 photometric silog_root ssi_trimmed appearance_matching
        depth_gradient depth_mse depth_multiscale_gradient depth_normals depth_ssim edge_aware_smoothness
        left_right_consistency minimum_reprojection monodepth ssi
    """,
    "embeddings": """
        embedding_softmax embedding_triplet proxy_anchor nt_xent barlow_twins byol multi_similarity
        embedding_arcface proxy_nca vicreg embedding_contrastive adacos circle sim_siam lifted_structure
        embedding_norm_softmax sphereface embedding_cosface alignment_uniformity sup_con center_loss
        soft_triple smooth_ap n_pair subcenter_arcface
    """,
    "retrieval": """
        info_nce list_net score_distillation approx_ndcg lambda_rank rank_net score_margin_ranking
        score_contrastive score_triplet
    """,
    "lines": "ctc rnn_transducer ctc_entropy focal_ctc framewise_cross_entropy ctc_confidence_penalty",
    "texts": """
        token_cross_entropy token_focal structured_hinge token_label_smoothing unlikelihood minimum_risk
        reinforce token_cosine
    """,
    "autoencoders": "vae_bernoulli vae_gaussian vae_l1 vae_perceptual vae_style",
    "generation": """
        denoise_mse non_saturating denoise_l1 wasserstein least_squares_gan denoise_min_snr r1_gan
        contrastive_divergence noise_contrastive flow_matching wgan_gp denoise_huber flow_nll
        relativistic_average_gan relativistic_gan hinge_gan minimax_gan
    """,
    "ways to combine": """
        several_tasks sum alone uncertainty upgrad famo pcgrad gradnorm nash_mtl dwa cagrad imtl_g mgda
        random_weighting geometric_mean chebyshev cov_weighting aligned_mtl conflict_free dualproj graddrop
        uncertainty_revised fixed
    """,
}
"""Rows of names in the order of their styles, by what is compared with each other."""

_PLACE = {name: place for row in PLACES.values() for place, name in enumerate(row.split())}
_NAME = re.compile(r"\w+")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,15})?(?:e[+-]?\d{1,2})?")


@dataclass(frozen=True)
class LossStyle:
    """How a loss is drawn.

    Parameters
    ----------
    color : str
        As `#rrggbb`.
    dashes : tuple of int
        Lengths of strokes and gaps in points; empty for a solid line.
    marker : str
        As matplotlib names it.

    """

    color: str
    dashes: tuple[int, ...]
    marker: str


@lru_cache(maxsize=4096)
def style_of(label: str) -> LossStyle:
    """Return how a loss is drawn, by its label in a comparison: the same wherever and beside whatever it stands.

    What is more than a name is a variant: it has the colour of the name, or a shade of it, with other dashes and
    another marker, by the values and the words of the rest. The ways to combine terms, such as `several_tasks+pcgrad`,
    differ as losses do.

    Parameters
    ----------
    label : str
        A loss with what tells it from others, such as `focal(gamma=2)`, or any other name.

    Examples
    --------
    >>> style_of("cross_entropy")
    LossStyle(color='#0380e7', dashes=(), marker='o')
    >>> style_of("focal").color, style_of("focal(gamma=5)").color, style_of("focal+drw").color
    ('#6bc275', '#6bc275', '#407446')

    """
    found = _NAME.match(label)
    name, rest = (found.group(), label[found.end() :]) if found else (label, "")
    if name in CARRIERS and rest.startswith("+") and (way := _NAME.match(rest, 1)):
        name, rest = way.group(), rest[way.end() :]
    place = _PLACE.get(name, _hashed(name))
    if not rest:
        return numbered_style(place)
    number = _varied(rest)
    color = _shade(COLORS[place % len(COLORS)], number % 3)
    dashes = DASHES[(place + 1 + number // 3 % (len(DASHES) - 1)) % len(DASHES)]
    marker = MARKERS[(place + 1 + number // 12 % (len(MARKERS) - 1)) % len(MARKERS)]
    return LossStyle(color, dashes, marker)


def numbered_style(number: int) -> LossStyle:
    """Return the style of a place in a row, for lines that are no losses, such as the terms of one.

    Any 8 in a row differ in colour, any 40 in colour or dashes, any 280 in one of the three.

    Examples
    --------
    >>> numbered_style(0) == style_of("mse"), numbered_style(40).dashes, numbered_style(40).marker
    (True, (), 'P')

    """
    return LossStyle(COLORS[number % len(COLORS)], DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])


def _varied(rest: str) -> int:
    """Return a number of what a variant has beside its name, so that values of a parameter are told apart.

    That is the hash of the words, and a sum over the first two digits of each value and its power of ten. With these
    weights values of usual grids, such as 0.5, 1, 2, 5 or 0.01, 0.1, 1, are no multiples of 12 apart, after which
    shades and dashes come again.
    """
    look = marker = _hashed(_NUMBER.sub("", rest))
    for k, value in enumerate(_NUMBER.findall(rest)):
        digits, _, power = f"{float(value):.1e}".partition("e")
        first, _, second = digits.partition(".")
        weight = (1, 5, 7, 11)[k % 4]
        look += weight * (int(first) + 4 * int(second) + 5 * int(power))
        marker += weight * (int(first) + int(second) + int(power))
    return look % 12 + 12 * (marker % (len(MARKERS) - 1))


def _hashed(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


def _shade(color: str, depth: int) -> str:
    """Mix a light colour with black, and a dark one with white: none, a quarter, or nearly a half."""
    parts = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
    towards = 0 if 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] > 125 else 255
    mixed = [round(part + (0.0, 0.22, 0.4)[depth] * (towards - part)) for part in parts]
    return "#" + "".join(f"{part:02x}" for part in mixed)

"""The depth of each pixel."""

from lossbench.tasks.task import ERROR, SHARE, Page, Task, metrics

_ERRORS, _ORDER = "Errors of depth", "Shape and order"
_SCALED, _ALIGNED = "After the scale is set right by the medians", "After scale and shift are set right"

TASKS = (
    Task(
        name="depth",
        title="depth",
        package=__name__,
        target="map",
        baseline="depth_mae",
        link="exponential",
        metrics=(
            *metrics(
                "lower", _ERRORS, bounds=ERROR,
                abs_rel="mean of |predicted - true| / true over the valid pixels of an image, and over images",
                sq_rel="the same of (predicted - true)^2 / true",
                rmse="root of the mean squared error of an image, in units of the target, mean over images",
                rmse_log="the same of the logarithm of the depth",
                log10="mean of |log10 predicted - log10 true|",
            ),
            *metrics("lower", _ERRORS, bounds=SHARE, high_error="share of pixels with a relative error above .2"),
            *metrics(
                "higher", _ERRORS, bounds=SHARE,
                delta_1="share of pixels within a factor of 1.25 of the truth",
                delta_2="share within 1.25^2",
                delta_3="share within 1.25^3",
            ),
            *metrics(
                "lower", _SCALED, bounds=ERROR,
                abs_rel_scaled="abs_rel of predictions times median true over median predicted depth of their image",
                rmse_scaled="rmse of these",
            ),
            *metrics("higher", _SCALED, bounds=SHARE, delta_1_scaled="delta_1 of these"),
            *metrics(
                "lower", _ALIGNED, bounds=ERROR,
                abs_rel_aligned="abs_rel after the inverse depth of an image is scaled and shifted to fit the truth",
                rmse_aligned="rmse of these",
            ),
            *metrics("higher", _ALIGNED, bounds=SHARE, delta_1_aligned="delta_1 of these"),
            *metrics(
                "lower", _ORDER, bounds=ERROR,
                scale_invariant="standard deviation of the error of log depth within an image, mean over images",
            ),
            *metrics(
                "lower", _ORDER, bounds=SHARE,
                whdr="share of pairs of pixels in the wrong order, nearer, farther or equal within 10 %",
            ),
        ),
        columns=("abs_rel", "rmse", "delta_1", "abs_rel_scaled", "scale_invariant", "whdr"),
        monitor="abs_rel",
        context=("epoch", "features", "image", "index", "inputs", "intrinsics", "other_views", "poses"),
        keeps=("image",),
        stacked=False,
        pages=(Page("Depth", "The logarithm of a depth at each pixel of one image; from the truth, or other views."),),
    ),
)  # fmt: skip

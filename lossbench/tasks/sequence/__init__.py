"""A sequence of classes to a line, which is read frame by frame."""

from lossbench.tasks.task import ERROR, SHARE, Metric, Page, Task, metrics

TASKS = (
    Task(
        name="sequence",
        shapes="N T V , N S -> N",
        title="reading of lines",
        package=__name__,
        target="sequence",
        baseline="ctc",
        link="softmax",
        learner="ctc",
        metrics=(
            *metrics(
                "lower", bounds=ERROR,
                cer="character error rate of the greedy reading: substitutions, deletions and insertions per class",
                cer_beam="character error rate of the beam search",
            ),
            *metrics(
                "lower", bounds=SHARE,
                wer="word error rate of the greedy reading, a whole line being one word",
            ),
            *metrics("higher", bounds=SHARE, exact_line="share of the lines without a mistake: 1 - `wer`"),
            *metrics("lower", bounds=ERROR, nll="mean of -log of the probability of the target over all alignments"),
            *metrics(
                "higher", bounds=SHARE,
                frame_accuracy="share of frames whose likeliest class is that of the known alignment",
            ),
            Metric(
                "blank_share", "neither", "share of the frames whose most probable class is the blank", bounds=SHARE
            ),
        ),
        columns=("cer", "cer_beam", "wer", "exact_line", "nll", "frame_accuracy"),
        monitor="cer",
        context=("alignment", "epoch", "index", "input_lengths", "inputs", "target_lengths"),
        stacked=False,
        pages=(Page("Sequences", "A line of classes is read without knowing where each of them is."),),
    ),
)  # fmt: skip

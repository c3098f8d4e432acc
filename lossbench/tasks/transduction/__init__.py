"""A sequence of classes to a line, which is read by its frames and by what was read before."""

from lossbench.tasks.task import ERROR, SHARE, Page, Task, metrics

TASKS = (
    Task(
        name="transduction",
        title="transduction of lines",
        package=__name__,
        target="sequence",
        baseline="rnn_transducer",
        link="softmax",
        learner="transducer",
        data=("sequence",),
        metrics=(
            *metrics(
                "lower", bounds=ERROR,
                cer="character error rate of the greedy reading: substitutions, deletions and insertions per class",
            ),
            *metrics(
                "lower", bounds=SHARE,
                wer="word error rate of the greedy reading, a whole line being one word",
            ),
            *metrics("higher", bounds=SHARE, exact_line="share of the lines without a mistake: 1 - `wer`"),
            *metrics("lower", bounds=ERROR, nll="mean of -log of the probability of the target over all alignments"),
        ),
        columns=("cer", "wer", "exact_line", "nll"),
        monitor="cer",
        context=("epoch", "index", "input_lengths", "inputs", "target_lengths"),
        stacked=False,
        pages=(Page("Transduction", "A line is read by its frames and by what was read of it before."),),
    ),
)  # fmt: skip

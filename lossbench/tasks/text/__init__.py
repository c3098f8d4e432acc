"""The next token of a text, given those before it."""

from math import inf

from lossbench.tasks.task import ERROR, SHARE, Page, Task, metrics

TASKS = (
    Task(
        name="text",
        title="texts",
        package=__name__,
        target="tokens",
        baseline="token_cross_entropy",
        link="softmax",
        learner="language_model",
        metrics=(
            *metrics(
                "lower", bounds=(1.0, inf),
                perplexity="e to the `nll`: among how many equally likely tokens the next one is as hard to guess",
            ),
            *metrics(
                "lower", bounds=ERROR,
                bits_per_character="`nll` in bits, where a token is a character",
                nll="mean of -log p over all tokens of all texts, in nats",
            ),
            *metrics("higher", bounds=SHARE, token_accuracy="share of all tokens that were the likeliest"),
        ),
        columns=("perplexity", "bits_per_character", "token_accuracy", "nll"),
        monitor="perplexity",
        context=("epoch", "index", "inputs"),
        stacked=False,
        pages=(Page("Texts", "The next token of a text, given those before it."),),
    ),
)  # fmt: skip

"""The next token of a text, given those before it."""

from math import inf

from lossbench.tasks.task import Metric, Page, Task, metrics

TASKS = (
    Task(
        name="text",
        title="texts",
        package=__name__,
        target="tokens",
        baseline="token_cross_entropy",
        link="softmax",
        metrics=(
            Metric("perplexity", "lower", "e to the mean of -log p over all tokens", bounds=(1.0, inf)),
            *metrics("higher", bounds=(0.0, 1.0), accuracy="share of the tokens that were the likeliest"),
        ),
        columns=("perplexity", "accuracy"),
        monitor="perplexity",
        context=("epoch", "index", "inputs"),
        stacked=False,
        pages=(Page("Texts", "The next token of a text, given those before it."),),
    ),
)

"""A text in another language, token by token."""

from lossbench.tasks.task import Page, Task, metrics

TASKS = (
    Task(
        name="translation",
        title="translations",
        package=__name__,
        target="tokens",
        baseline="token_cross_entropy",
        link="softmax",
        served_by=("text", "translation"),
        metrics=(*metrics("higher", bounds=(0.0, 1.0), accuracy="share of the tokens that were the likeliest"),),
        columns=("accuracy",),
        monitor="accuracy",
        context=("baseline_cost", "costs", "epoch", "index", "inputs"),
        stacked=False,
        pages=(Page("Translations", "A text in another language, token by token."),),
    ),
)

"""A text in another language, token by token."""

from math import inf

from lossbench.tasks.task import ERROR, SHARE, Page, Task, metrics

_CORPUS, _SENTENCES, _LONG = "All translations as one corpus", "Mean over sentences", "Longer than in training"

TASKS = (
    Task(
        name="translation",
        title="translations",
        package=__name__,
        target="tokens",
        baseline="token_cross_entropy",
        link="softmax",
        learner="translator",
        served_by=("text", "translation"),
        metrics=(
            *metrics("higher", bounds=SHARE, exact_match="share of the greedy translations without a mistake"),
            *metrics(
                "higher", bounds=SHARE,
                token_accuracy="share of the tokens that are the likeliest, given the true ones before them",
            ),
            *metrics(
                "lower", bounds=(1.0, inf),
                perplexity="e to the mean of -log p over all tokens, given the true ones before them; ends count",
            ),
            *metrics(
                "higher", _CORPUS, "end", bounds=SHARE,
                bleu="BLEU of sacrebleu: precisions of 1- to 4-grams of words, times a penalty for brevity",
                chrf="chrF2 of sacrebleu: F of n-grams of characters, recall counting twice",
            ),
            *metrics(
                "lower", _CORPUS, "end", bounds=ERROR,
                ter="translation edit rate: edits of words and shifts of phrases, by words of the references",
                wer="word error rate: edits of words by words of the references",
                cer="character error rate: edits of characters by characters of the references",
            ),
            *metrics(
                "higher", _SENTENCES, "end", bounds=SHARE,
                sentence_bleu="BLEU of each sentence, smoothed: another number than `bleu`",
                rouge_1="ROUGE-1: F of words in common",
                rouge_2="ROUGE-2: F of pairs of neighbouring words in common",
                rouge_l="ROUGE-L: F of the longest common subsequence",
                rouge_w="ROUGE-W: the same, runs of words counting more",
                rouge_s="ROUGE-S: F of pairs of words in their order, with any words between them",
                meteor_2005="METEOR as it was first defined (Banerjee and Lavie 2005), equal words",
                meteor_2007="METEOR with the parameters of Lavie and Agarwal (2007), equal words",
                token_f1="F of words in common, as for answers to questions (SQuAD)",
            ),
            *metrics(
                "higher", _LONG, "end", bounds=SHARE,
                long_exact_match="`exact_match` of texts longer than all in training, which count nowhere else",
                long_bleu="`bleu` of these",
            ),
        ),
        columns=("exact_match", "bleu", "chrf", "token_accuracy", "perplexity", "long_exact_match"),
        monitor="exact_match",
        context=("baseline_cost", "costs", "epoch", "index", "inputs"),
        keeps=("long",),
        stacked=False,
        pages=(Page("Translations", "A text in another language, token by token."),),
    ),
)  # fmt: skip

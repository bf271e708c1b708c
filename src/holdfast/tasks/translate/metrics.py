"""BLEU and chrF of translations, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.optional_imports import load_extra
from holdfast.tasks.metrics import Metric, Scoreboard

SCOREBOARD = Scoreboard(
    (
        Metric.higher_is_better(
            "bleu",
            "BLEU",
            "share of runs of 1 to 4 words that the reference has too, less for short translations: 0 to 100",
            100.0,
        ),
        Metric.higher_is_better(
            "chrf",
            "chrF",
            "F score of the runs of 1 to 6 characters that translation and reference share: 0 to 100",
            100.0,
        ),
        Metric(
            "perplexity",
            "perplexity",
            "as if so many tokens were equally likely at each place of the reference; not comparable between "
            "kinds of token",
        ),
    ),
    examples="pairs",
    baselines={"copy": "the source unchanged", "word_by_word": "the likeliest translation of each word"},
)


class Scorer:
    """BLEU (Papineni et al. 2002; 13a tokens) and chrF (Popović 2015) of a corpus, both from 0 to
    100.

    Args:
        lower: compare in lower case; the signatures say so.
    """

    def __init__(self, lower: bool) -> None:
        metrics = load_extra("sacrebleu.metrics", "text")
        self.metrics = {
            "bleu": metrics.BLEU(lowercase=lower, force=True),
            "chrf": metrics.CHRF(lowercase=lower),
        }

    def __call__(self, translations: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Return both metrics of translations [N] compared with one reference each [N]."""
        return {
            name: float(metric.corpus_score(list(translations), [list(references)]).score)
            for name, metric in self.metrics.items()
        }

    @property
    def signatures(self) -> dict[str, str]:
        """How each metric was computed, once something was scored."""
        return {name: str(metric.get_signature()) for name, metric in self.metrics.items()}

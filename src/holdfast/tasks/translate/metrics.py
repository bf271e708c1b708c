"""Translations against references: BLEU and chrF by sacrebleu, with their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.errors import missing_library


class Scorer:
    """BLEU (Papineni et al. 2002; 13a tokens) and chrF (Popović 2015) of a corpus, both from 0 to 100.

    Args:
        lower: compare in lower case; the signatures say so.
    """

    def __init__(self, lower: bool) -> None:
        try:
            from sacrebleu.metrics.bleu import BLEU
            from sacrebleu.metrics.chrf import CHRF
        except ModuleNotFoundError as error:
            raise missing_library(error, "text") from error
        self.metrics: dict[str, Any] = {
            "bleu": BLEU(lowercase=lower, force=True),
            "chrf": CHRF(lowercase=lower),
        }

    def __call__(self, translations: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Both figures of translations [N] against one reference each [N]."""
        return {
            name: float(metric.corpus_score(list(translations), [list(references)]).score)
            for name, metric in self.metrics.items()
        }

    @property
    def signatures(self) -> dict[str, str]:
        """How each figure was computed, once something was scored."""
        return {name: str(metric.get_signature()) for name, metric in self.metrics.items()}

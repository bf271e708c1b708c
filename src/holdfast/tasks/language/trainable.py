"""The network of a language model, built from the configuration."""

from __future__ import annotations

from holdfast.errors import UserError
from holdfast.models.language import RecurrentLanguageModel
from holdfast.tasks.language.config import LanguageConfig


def build(config: LanguageConfig, tokens: int) -> RecurrentLanguageModel:
    """Build the untrained network for a vocabulary of ``tokens``.

    Raises:
        UserError: an adaptive softmax is cut beyond the end of the vocabulary.
    """
    net = config.network
    if net.adaptive and net.adaptive[-1] >= tokens - 1:
        raise UserError(
            f"The cuts of an adaptive softmax must be below {tokens - 1}; the vocabulary has {tokens} tokens.",
            f"They were {', '.join(map(str, net.adaptive))}.",
            "Leave out larger cuts, or --adaptive altogether.",
        )
    return RecurrentLanguageModel(tokens, net)

"""The network of a language model, built from the configuration."""

from __future__ import annotations

from holdfast.models.language import LanguageOptions, RecurrentLanguageModel
from holdfast.tasks.language.config import LanguageConfig


def build(config: LanguageConfig, units: int) -> RecurrentLanguageModel:
    """An untrained network for a vocabulary of ``units``."""
    net = config.network
    options = LanguageOptions(
        cell=net.cell,
        embedding_size=net.embedding_size or net.hidden_size,
        hidden_size=net.hidden_size,
        num_layers=net.num_layers,
        tied=net.tied,
        sampled=net.sampled,
        adaptive=tuple(cut for cut in net.adaptive if cut < units - 1),
        input_dropout=net.input_dropout,
        hidden_dropout=net.hidden_dropout,
        output_dropout=net.output_dropout,
        embedding_dropout=net.embedding_dropout,
        weight_drop=net.weight_drop,
    )
    return RecurrentLanguageModel(units, options)

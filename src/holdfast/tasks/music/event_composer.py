"""Composing with a model of events: token by token, bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.remi import HIGHEST, EventVocabulary
from holdfast.decoding.sampling import Filter, sample, sampling_filters
from holdfast.errors import UserError
from holdfast.models.incremental import IncrementalDecoder
from holdfast.models.language import RecurrentLanguageModel
from holdfast.tasks.music.request import CompositionRequest, clipped, merged

_MOST_TOKENS = 800
"""Most tokens of a bar: where a model writes more, the bar ends."""


def compose(module: RecurrentLanguageModel, vocabulary: EventVocabulary, request: CompositionRequest) -> Any:
    """Return symusic's score of a new piece, or of a primer and its continuation."""
    primer, meta = request.primer, request.meta
    if primer is not None and meta.signature not in vocabulary.signatures:
        raise UserError(
            "The time signature of a primer must be one of the training pieces'.",
            f"That of {primer.name} is {_named([meta.signature])}; theirs are {_named(vocabulary.signatures)}.",
            "Give another primer, or train with such pieces too.",
        )
    begun = [] if primer is None else vocabulary.encode(primer.score).tolist()
    bars = ceil(request.beats / meta.quarters_per_bar - 1e-9)
    new = clipped(vocabulary.decode(_sampled(module, vocabulary, request, begun, bars)), request.beats)
    if primer is None:
        return new

    def place(tracks: Sequence[Any], _: int, track: Any) -> int | None:
        own = vocabulary.voice(track)
        same = (i for i, t in enumerate(tracks) if t.is_drum == track.is_drum)
        return next((i for i in same if track.is_drum or vocabulary.voice(tracks[i]) == own), None)

    return merged(primer.score, new, request.start, place)


def _named(signatures: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("/".join(map(str, one)) for one in signatures)


def _sampled(
    module: RecurrentLanguageModel,
    vocabulary: EventVocabulary,
    request: CompositionRequest,
    primer: Sequence[int],
    bars: int,
) -> list[int]:
    """Return the tokens of so many bars after a primer: the voice that the primer ends with, then a bar."""
    decoder, random = IncrementalDecoder(module), np.random.default_rng(request.seed)
    filters = [
        _allowed(vocabulary, request),
        *sampling_filters(request.temperature, None, request.top_p, 1.0),
    ]
    bar = vocabulary.names.index("Bar_None")
    for token in (vocabulary.begin, *primer):
        decoder.step(token)
    voice = [token for token in primer if vocabulary.names[token].startswith("Program_")][-1:]
    found, begun, since = [*voice, bar], 1, 0
    while True:
        token = sample(decoder.step(found[-1]), found, filters, random) if since < _MOST_TOKENS else bar
        begun, since = (begun + 1, 0) if token == bar else (begun, since + 1)
        if begun > bars:
            return found
        found.append(token)


def _allowed(vocabulary: EventVocabulary, request: CompositionRequest) -> Filter:
    """Return a filter that keeps what may follow the last token, in the requested key and time signature.

    Drum notes follow only drums, and the end is never kept.
    """
    pitches = vocabulary.pitches()
    signature = "/".join(map(str, request.meta.signature))
    kinds = np.array([name.split("_")[0] for name in vocabulary.names])
    allowed = ((pitches < 0) | request.scale[pitches % 12]) & ~np.isin(kinds, ("EOS", "PAD"))
    allowed &= pitches <= HIGHEST
    allowed &= (kinds != "TimeSig") | (np.array(vocabulary.names) == f"TimeSig_{signature}")
    drums = vocabulary.drums
    after = {
        kind: allowed & np.isin(kinds, sorted(following))
        for kind, following in vocabulary.tokenizer.tokens_types_graph.items()
    }

    def keep(scores: Array, so_far: Sequence[int]) -> Array:
        voice = next((token for token in reversed(so_far) if kinds[token] == "Program"), None)
        other = "Pitch" if voice is not None and voice == drums else "PitchDrum"
        return np.where(after[kinds[so_far[-1]]] & (kinds != other), scores, -np.inf)

    return keep

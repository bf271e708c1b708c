"""Composing with a model of events: token after token, bar after bar."""

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
from holdfast.tasks.music.request import Wish, cut, put_behind

_MOST_TOKENS = 800
"""Tokens of a bar: where a model writes more of them, the bar is ended."""


def composed(module: RecurrentLanguageModel, vocabulary: EventVocabulary, wish: Wish) -> Any:
    """Symusic's score of a piece, behind its primer where there is one."""
    if wish.primer is not None and wish.heading.signature not in vocabulary.signatures:
        raise UserError(
            "A primer's bars are of a kind that the training pieces have.",
            f"Those of {wish.primer.name} are {_told([wish.heading.signature])}; theirs are "
            f"{_told(vocabulary.signatures)}.",
            "Give another primer, or train with such pieces too.",
        )
    primer = [] if wish.primer is None else vocabulary.encode(wish.primer.score).tolist()
    bars = ceil(wish.beats / wish.heading.quarters_per_bar - 1e-9)
    tokens = written(module, vocabulary, wish, primer, bars)
    if wish.primer is None:
        return cut(vocabulary.decode(tokens), wish.beats)
    new = cut(vocabulary.decode(tokens), wish.beats)

    def place(tracks: Sequence[Any], _: int, track: Any) -> int | None:
        own = vocabulary.voice(track)
        same = (i for i, t in enumerate(tracks) if t.is_drum == track.is_drum)
        return next((i for i in same if track.is_drum or vocabulary.voice(tracks[i]) == own), None)

    return put_behind(wish.primer.score, new, wish.start, place)


def _told(signatures: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("/".join(map(str, one)) for one in signatures)


def written(
    module: RecurrentLanguageModel,
    vocabulary: EventVocabulary,
    wish: Wish,
    primer: Sequence[int],
    bars: int,
) -> list[int]:
    """The tokens of so many bars behind a primer: the voice that the primer ends with, then a bar."""
    writer, random = IncrementalDecoder(module), np.random.default_rng(wish.seed)
    through = [held(vocabulary, wish), *sampling_filters(wish.temperature, None, wish.top_p, 1.0)]
    bar = vocabulary.names.index("Bar_None")
    for token in (vocabulary.begin, *primer):
        writer.step(token)
    voice = [token for token in primer if vocabulary.names[token].startswith("Program_")][-1:]
    found, begun, since = [*voice, bar], 1, 0
    while True:
        token = sample(writer.step(found[-1]), found, through, random) if since < _MOST_TOKENS else bar
        begun, since = (begun + 1, 0) if token == bar else (begun, since + 1)
        if begun > bars:
            return found
        found.append(token)


def held(vocabulary: EventVocabulary, wish: Wish) -> Filter:
    """Only what may follow the last token, in the key and the bars that are held; drums only of drums; no end."""
    pitches = vocabulary.pitches()
    signature = "/".join(map(str, wish.heading.signature))
    kinds = np.array([name.split("_")[0] for name in vocabulary.names])
    allowed = ((pitches < 0) | wish.scale[pitches % 12]) & ~np.isin(kinds, ("EOS", "PAD"))
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

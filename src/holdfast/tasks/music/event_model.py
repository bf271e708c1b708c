"""Backend of events: expressive MIDI, one token after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.midi import ScorePiece, read_scores
from holdfast.data.music.novelty import TrainingNotes
from holdfast.data.music.pieces import SPLITS, UNSPLIT
from holdfast.data.music.remi import HIGHEST, EventVocabulary
from holdfast.decoding.sampling import Filter, sample, sampling_filters
from holdfast.errors import UserError
from holdfast.models.incremental import IncrementalDecoder
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.options import LanguageOptions
from holdfast.tasks.music.backend import MusicBackend
from holdfast.tasks.music.baselines import EventNGrams
from holdfast.tasks.music.metrics import score_events
from holdfast.tasks.music.preprocessing import EventDataset, EventPreprocessing, EventSplit
from holdfast.tasks.music.request import CompositionRequest, clipped, merged
from holdfast.tasks.music.trainable import EventTraining, event_nats

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score
    from symusic.core import TrackTick as Track

_LOSS_PIECES = 40
"""Training pieces, evenly spaced, on which the training loss is measured without dropout."""
_MOST_TOKENS = 800
"""Most tokens of a bar: where a model writes more, the bar ends."""


class EventBackend(MusicBackend[ScorePiece, EventSplit, EventPreprocessing, Array, RecurrentLanguageModel]):
    """Models that read and compose events."""

    preprocessing = EventPreprocessing
    encode = staticmethod(EventPreprocessing.encode)
    predictions = staticmethod(event_nats)
    score = staticmethod(score_events)

    def read_pieces(self, path: Path) -> dict[str, tuple[ScorePiece, ...]]:
        """Read the pieces of a file as scores."""
        return {UNSPLIT: tuple(read_scores(path))}

    def fit_preprocessing(self, pieces: tuple[ScorePiece, ...]) -> EventPreprocessing:
        """Collect the vocabulary."""
        return EventPreprocessing.fit(pieces, self.config.data)

    def digest(self, splits: Mapping[str, EventSplit]) -> str:
        """Return a hash of all events."""
        found = sha256()
        for name in SPLITS:
            for piece in splits[name].pieces if name in splits else ():
                found.update(f"{name} {len(piece.ids)};".encode() + piece.ids.tobytes())
        return found.hexdigest()

    def network(self, preprocessing: EventPreprocessing) -> RecurrentLanguageModel:
        """Build the untrained network."""
        net = self.config.network
        options = LanguageOptions(
            cell=net.cell,
            hidden_size=net.hidden_size,
            embedding_size=net.embedding_size,
            num_layers=net.num_layers,
            tied=False,
            input_dropout=net.input_dropout,
            hidden_dropout=net.dropout,
            output_dropout=net.dropout,
            weight_drop=net.weight_drop,
        )
        return RecurrentLanguageModel(preprocessing.vocabulary.size, options)

    def trainable(self, module: RecurrentLanguageModel, dataset: EventDataset) -> EventTraining:
        """Return streams along the training pieces."""
        return EventTraining(module, self.config, dataset)

    def baselines(self, preprocessing: EventPreprocessing) -> EventNGrams:
        """Return unigrams and n-grams."""
        return EventNGrams(preprocessing, self.config.data.transpose)

    def loss(self, module: RecurrentLanguageModel, split: EventSplit) -> float:
        """Return nats per token, of some pieces where there are many."""
        some = replace(split, pieces=split.pieces[:: max(1, len(split) // _LOSS_PIECES)])
        return float(event_nats(module, some).mean(dtype=np.float64))

    def compose(
        self,
        module: RecurrentLanguageModel,
        preprocessing: EventPreprocessing,
        training_notes: TrainingNotes,
        request: CompositionRequest,
    ) -> Score:
        """Return a new piece, or a primer and its continuation."""
        vocabulary = preprocessing.vocabulary
        primer, meta = request.primer, request.meta
        if primer is not None and meta.signature not in vocabulary.signatures:
            raise UserError(
                "The time signature of a primer must be one of the training pieces'.",
                f"That of {primer.name} is {_named([meta.signature])}; theirs are {_named(vocabulary.signatures)}.",
                "Give another primer, or train with such pieces too.",
            )
        new = clipped(vocabulary.decode(_sampled(module, vocabulary, request)), request.beats)
        if primer is None:
            return new

        def place(tracks: Sequence[Track], _: int, track: Track) -> int | None:
            own = vocabulary.voice(track)
            same = (i for i, t in enumerate(tracks) if t.is_drum == track.is_drum)
            return next((i for i in same if track.is_drum or vocabulary.voice(tracks[i]) == own), None)

        return merged(primer.score, new, request.start, place)


# -- composing -------------------------------------------------------------------------------------


def _named(signatures: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("/".join(map(str, one)) for one in signatures)


def _sampled(
    module: RecurrentLanguageModel, vocabulary: EventVocabulary, request: CompositionRequest
) -> list[int]:
    """Return the new tokens: the voice that the primer ends with, then bars."""
    primer = [] if request.primer is None else vocabulary.encode(request.primer.score).tolist()
    bars = ceil(request.beats / request.meta.quarters_per_bar - 1e-9)
    decoder, random = IncrementalDecoder(module), np.random.default_rng(request.asked.seed)
    usual = sampling_filters(request.temperature, None, request.asked.top_p, 1.0)
    filters = [_allowed(vocabulary, request), *usual]
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
    """Return a filter that keeps what may follow, in the requested key and time signature.

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

"""From recordings to the frames and units of the training, validation and test utterances."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.data.audio.manifest import ManifestFields, Utterance, read_utterances
from holdfast.data.audio.sound_files import sound_info
from holdfast.data.audio.validation import check_audio, long_enough, min_ctc_frames, rate_notes
from holdfast.data.splits import split_fractions, split_notes
from holdfast.errors import UserError
from holdfast.tasks.speech.augmentation import Augmenter
from holdfast.tasks.speech.config import SoundConfig, SpeechConfig
from holdfast.tasks.speech.frontend import Sounds
from holdfast.tasks.speech.segments import FRAME
from holdfast.tasks.speech.tokenizer import Alphabet

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Part:
    """Utterances, their normalised frames [T, F], their units, and how many seconds it took to read them."""

    utterances: list[Utterance]
    frames: list[Array]
    units: list[list[int]]
    seconds_to_read: float = 0.0

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, chosen: Iterable[int]) -> Part:
        """The utterances of these numbers."""
        numbers = list(chosen)
        utterances, frames = [self.utterances[i] for i in numbers], [self.frames[i] for i in numbers]
        return Part(utterances, frames, [self.units[i] for i in numbers])

    @property
    def texts(self) -> list[str]:
        """What was said."""
        return [one.text for one in self.utterances]

    @property
    def sound_seconds(self) -> float:
        """How long they last; of ready features, whose frames are taken to be those of 10 ms, by their number."""
        ready = sum(len(own) for one, own in zip(self.utterances, self.frames) if one.ready) * FRAME
        files = [path for one in self.utterances if not one.ready for path in one.paths]
        return ready + sum(sound_info(path).seconds for path in files)


@dataclass(frozen=True)
class Prepared:
    """The three parts (``test`` may be None), how sound becomes frames and text units, and what to tell the user."""

    train: Part
    valid: Part
    test: Part | None
    alphabet: Alphabet
    sounds: Sounds
    augmenter: Augmenter
    notes: tuple[str, ...]
    digest: str

    def fraction(self, share: float) -> Prepared:
        """The same with only the last share of the training part, to see what less data does."""
        kept = max(1, round(len(self.train) * share))
        return replace(self, train=self.train[range(len(self.train) - kept, len(self.train))])

    def augmented(self, number: int, seed: tuple[int, ...]) -> Array:
        """The frames of a training utterance, changed by chance."""
        return self.augmenter(self.train.utterances[number], self.train.frames[number], seed)


def prepare(
    config: SpeechConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> Prepared:
    """Read the recordings, cut them into parts (those without a file of their own), and compute their frames.

    Raises:
        UserError: for everything that is wrong with a file, and for a part without utterances.
    """
    settings = config.data
    whole = _read(data, settings)
    own = {name: _read(path, settings) for name, path in (("validation", valid), ("test", test)) if path}
    parts = _parts(settings, whole, own)
    spoken = {name: part for name, part in parts.items() if part}
    sounds = Sounds.of(parts["training"], settings)
    told = [*split_notes((valid is not None, test is not None), bool(parts["test"]))]
    told += rate_notes(spoken, sounds.rate) if sounds.rate is not None else ()
    timed = {name: _timed_frames(part, sounds) for name, part in parts.items()}
    frames = {name: own for name, (own, _) in timed.items()}
    told += check_audio(spoken)
    sounds = sounds.fitted(frames["training"])
    alphabet = Alphabet.fit((one.text for one in parts["training"]), settings.token, settings.vocabulary)
    made = {name: _part(part, *timed[name], alphabet, sounds) for name, part in parts.items()}
    train, too_long = _fitting(made, config.network.subsampling)
    told += [*too_long, *_unknown(made, alphabet)]
    return Prepared(
        train,
        made["validation"],
        made["test"] if len(made["test"]) else None,
        alphabet,
        sounds,
        Augmenter.of(config.augment, sounds, sounds.among(parts["training"], frames["training"])),
        tuple(told),
        _digest(parts, alphabet, sounds),
    )


def of_file(
    path: Path, settings: SoundConfig, alphabet: Alphabet, sounds: Sounds
) -> tuple[Part, tuple[str, ...]]:
    """The utterances of a whole manifest or folder, and what to tell of them."""
    utterances = _read(path, settings, speakers=False)
    sounds.check(utterances[0])
    part = _part(utterances, *_timed_frames(utterances, sounds), alphabet, sounds)
    return part, (*_speakerless(utterances, sounds), *_unknown({"file": part}, alphabet))


def to_hear(path: Path, settings: SoundConfig, sounds: Sounds) -> list[Utterance]:
    """The utterances of a sound file, a folder of them or a manifest, whose text is not looked at."""
    found = read_utterances(path, _fields(settings, False), settings.encoding, transcribed=False)
    sounds.check(found[0])
    return found


def heard_frames(utterances: list[Utterance], sounds: Sounds) -> Iterator[tuple[Utterance, Array]]:
    """Each utterance with its normalised frames, one after the other where the normalisation allows it."""
    if sounds.kind == "speaker":
        yield from zip(utterances, sounds.normalised(utterances, list(sounds.features.all(utterances))))
        return
    for one, frames in zip(utterances, sounds.features.all(utterances)):
        yield one, sounds.normalised([one], [frames])[0]


def _fields(settings: SoundConfig, speakers: bool = True) -> ManifestFields:
    """The columns of a manifest; outside training speakers need not be known, where they do not matter."""
    speaker = settings.speaker_field if speakers or settings.normalize == "speaker" else None
    return ManifestFields(settings.path_field, settings.text_field or "text", speaker)


def _read(path: Path, settings: SoundConfig, speakers: bool = True) -> list[Utterance]:
    return read_utterances(path, _fields(settings, speakers), settings.encoding)


def _speakerless(utterances: Sequence[Utterance], sounds: Sounds) -> list[str]:
    """What is told of utterances whose speaker matters and is not known."""
    count = sum(one.speaker is None for one in utterances)
    if sounds.kind != "speaker" or not count:
        return []
    return [f"{count:,} utterances have no speaker: each is normalised by itself"]


def _timed_frames(utterances: list[Utterance], sounds: Sounds) -> tuple[list[Array], float]:
    """The frames of each utterance, and how many seconds they took."""
    began = time.perf_counter()
    return list(sounds.features.all(utterances)), time.perf_counter() - began


def _part(
    utterances: list[Utterance], frames: Sequence[Array], took: float, alphabet: Alphabet, sounds: Sounds
) -> Part:
    normalised = sounds.normalised(utterances, frames)
    return Part(utterances, normalised, [alphabet.encode(one.text) for one in utterances], took)


def _parts(
    settings: SoundConfig, whole: list[Utterance], own: Mapping[str, list[Utterance]]
) -> dict[str, list[Utterance]]:
    """The utterances of each part; what has no file is cut from the data (by a seed of its own, always the same)."""
    own = dict(own)
    if settings.hold_out is not None:
        whole, own["test"] = _held_out(settings, whole, own)
        if "validation" in own:
            own["validation"] = [one for one in own["validation"] if one.speaker != settings.hold_out]
    asked = split_fractions(settings.split, ("validation" in own, "test" in own))
    order = np.random.default_rng(0).permutation(len(whole))
    counts = [round(share * len(whole)) for share in asked[1:]]
    cuts = np.cumsum([0, *(max(n, 1) if share else 0 for n, share in zip(counts, asked[1:]))])
    drawn = [sorted(order[a:b].tolist()) for a, b in itertools.pairwise(cuts)]
    rest = sorted(order[cuts[-1] :].tolist()[: round(sum(asked) * len(whole)) - int(cuts[-1])])
    found = {name: [whole[i] for i in rows] for name, rows in zip(PARTS, [rest, *drawn])} | own
    for name in PARTS[: 3 if asked[2] or "test" in own else 2]:
        if not found[name]:
            raise UserError(
                f"The {name} part holds utterances.",
                f"Of the {len(whole)} utterances none is left for it.",
                "Give more, files of their own with --valid and --test, or another --split.",
            )
    return found


def _held_out(
    settings: SoundConfig, whole: list[Utterance], own: Mapping[str, Any]
) -> tuple[list[Utterance], list[Utterance]]:
    """The utterances of all speakers but one, and that one's."""
    if "test" in own:
        raise UserError(
            "The test part is a file or a speaker that is held out.",
            "Both --test and --hold-out were given.",
            "Leave one of them out.",
        )
    speakers = sorted({one.speaker for one in whole if one.speaker is not None})
    if settings.hold_out not in speakers:
        raise UserError(
            "--hold-out names a speaker of the data.",
            f"It was {settings.hold_out!r}.",
            f"Speakers are: {', '.join(speakers[:20])}." if speakers else "The manifest names no speakers.",
        )
    return (
        [one for one in whole if one.speaker != settings.hold_out],
        [one for one in whole if one.speaker == settings.hold_out],
    )


def _fitting(parts: Mapping[str, Part], subsampling: int) -> tuple[Part, list[str]]:
    """The training utterances that CTC can be trained on, and what is told of texts too long for their sound."""
    notes, train = [], parts["training"]
    for name, part in parts.items():
        lengths, least = list(map(len, part.frames)), list(map(min_ctc_frames, part.units))
        kept, lost = (
            long_enough(name, part.utterances, lengths, least, subsampling) if len(part) else ([], None)
        )
        train = part[kept] if name == "training" else train
        if lost is not None:
            what = "left out" if name == "training" else "cannot all be right"
            notes.append(f"texts of the {name} part that are too long for their frames ({what}): {lost}")
    return train, notes


def _unknown(parts: Mapping[str, Part], alphabet: Alphabet) -> list[str]:
    """How much of the other parts has no unit."""
    notes = []
    for name, part in parts.items():
        lacking = sum(alphabet.unknown(text) for text in part.texts)
        if lacking and name != "training":
            what = "words" if alphabet.kind == "word" else "characters"
            notes.append(
                f"{lacking:,} {what} of the {name} part stand in no training sentence: they are never written"
            )
    return notes


def _digest(parts: Mapping[str, list[Utterance]], alphabet: Alphabet, sounds: Sounds) -> str:
    digest = sha256(repr((alphabet.pieces, sounds.rate, sounds.size)).encode())
    for name, part in parts.items():
        for one in part:
            sizes = [path.stat().st_size for path in one.paths]
            digest.update(repr((name, one.name, one.text, one.speaker, sizes)).encode())
    return digest.hexdigest()

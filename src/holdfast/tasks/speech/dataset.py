"""From recordings to the encoded training, validation and test split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from holdfast._json import JsonMapping
from holdfast._typing import Array
from holdfast.data.audio.manifest import ManifestFields, Utterance, read_utterances
from holdfast.data.audio.validation import check_audio, long_enough, min_ctc_frames, rate_notes
from holdfast.data.splits import split_fractions, split_notes
from holdfast.errors import UserError
from holdfast.tasks.dataset import SPLITS, Dataset
from holdfast.tasks.speech.config import SoundConfig, SpeechConfig
from holdfast.tasks.speech.frontend import Frontend
from holdfast.tasks.speech.preprocessing import SpeechDataset, SpeechPreprocessing, SpeechSplit


def read_dataset(
    config: SpeechConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> SpeechDataset:
    """Read the recordings, split off what has no file of its own, and compute the frames.

    Raises:
        UserError: anything is wrong with a file, or a split has no utterances.
    """
    settings = config.data
    whole = _read(data, settings)
    own = {name: _read(path, settings) for name, path in (("validation", valid), ("test", test)) if path}
    utterances = _split(settings, whole, own)
    present = {name: those for name, those in utterances.items() if those}
    frontend = Frontend.of(utterances["training"], settings)
    notes = [*split_notes((valid is not None, test is not None), bool(utterances["test"]))]
    notes += rate_notes(present, frontend.rate) if frontend.rate is not None else ()
    recordings = {name: frontend.read(those) for name, those in utterances.items()}
    notes += check_audio(present)
    preprocessing = SpeechPreprocessing.fit(recordings["training"], settings)
    splits = {name: preprocessing.encode(those) for name, those in recordings.items()}
    train, too_long = _long_enough(splits, config.network.subsampling)
    notes += [*too_long, *_unknown_notes(splits, preprocessing)]
    digest, fitted = _digest(utterances, preprocessing), preprocessing.with_ngrams(train.texts, config.order)
    return Dataset.of({**splits, "training": train}, fitted, notes, digest)


def read_whole(
    path: Path, settings: SoundConfig, preprocessing: SpeechPreprocessing
) -> tuple[SpeechSplit, tuple[str, ...]]:
    """Read a whole manifest or folder as one split, with notes about it.

    Raises:
        UserError: anything is wrong with it.
    """
    utterances = _read(path, settings, speakers=False)
    preprocessing.frontend.check(utterances[0])
    split = preprocessing.encode(preprocessing.frontend.read(utterances))
    return split, (
        *_speaker_notes(utterances, preprocessing.frontend),
        *_unknown_notes({"scored": split}, preprocessing),
    )


def read_sounds(path: Path, settings: SoundConfig, frontend: Frontend) -> list[Utterance]:
    """Return the utterances of a sound file, a folder or a manifest, which needs no text."""
    found = read_utterances(path, _fields(settings, False), settings.encoding, transcribed=False)
    frontend.check(found[0])
    return found


def normalized_frames(utterances: list[Utterance], frontend: Frontend) -> Iterator[tuple[Utterance, Array]]:
    """Yield utterances with normalized frames; normalization by speaker reads all of them first."""
    if frontend.kind == "speaker":
        frames = list(frontend.features.all(utterances))
        own = frontend.for_speakers(utterances, frames)
        yield from ((one, own.normalized(one, each)) for one, each in zip(utterances, frames))
        return
    for one, each in zip(utterances, frontend.features.all(utterances)):
        yield one, frontend.normalized(one, each)


def _fields(settings: SoundConfig, speakers: bool = True) -> ManifestFields:
    """Return the columns of a manifest; speakers only in training, or where they matter."""
    speaker = settings.speaker_field if speakers or settings.normalize == "speaker" else None
    return ManifestFields(settings.path_field, settings.text_field or "text", speaker)


def _read(path: Path, settings: SoundConfig, speakers: bool = True) -> list[Utterance]:
    return read_utterances(path, _fields(settings, speakers), settings.encoding)


def _speaker_notes(utterances: list[Utterance], frontend: Frontend) -> list[str]:
    """Return a note on utterances whose speaker matters and is unknown."""
    count = sum(one.speaker is None for one in utterances)
    if frontend.kind != "speaker" or not count:
        return []
    have = "utterance has" if count == 1 else "utterances have"
    return [f"{count:,} {have} no speaker: each is normalized by itself"]


def _split(
    settings: SoundConfig, whole: list[Utterance], own: Mapping[str, list[Utterance]]
) -> dict[str, list[Utterance]]:
    """Return the utterances of each split; the random choice has a fixed seed of its own."""
    own = dict(own)
    if settings.hold_out is not None:
        whole, own["test"] = _held_out(settings, whole, own)
        if "validation" in own:
            own["validation"] = [one for one in own["validation"] if one.speaker != settings.hold_out]
    shares = split_fractions(settings.split, ("validation" in own, "test" in own))
    order = np.random.default_rng(0).permutation(len(whole))
    counts = [round(share * len(whole)) for share in shares[1:]]
    cuts = np.cumsum([0, *(max(n, 1) if share else 0 for n, share in zip(counts, shares[1:]))])
    chosen = [sorted(order[a:b].tolist()) for a, b in itertools.pairwise(cuts)]
    rest = sorted(order[cuts[-1] :].tolist()[: round(sum(shares) * len(whole)) - int(cuts[-1])])
    found = {name: [whole[i] for i in rows] for name, rows in zip(SPLITS, [rest, *chosen])} | own
    for name in SPLITS[: 3 if shares[2] or "test" in own else 2]:
        if not found[name]:
            left = "Its only utterance is" if len(whole) == 1 else f"All {len(whole)} utterances are"
            raise UserError(
                f"The {name} split must have at least 1 utterance.",
                f"{left} in other splits.",
                "Give more utterances, files of their own with --valid and --test, or another --split.",
            )
    return found


def _held_out(
    settings: SoundConfig, whole: list[Utterance], own: JsonMapping
) -> tuple[list[Utterance], list[Utterance]]:
    """Return the utterances of all speakers but one, and those of that one."""
    if "test" in own:
        raise UserError(
            "The test split must be a file or a held-out speaker.",
            "Both --test and --hold-out were given.",
            "Leave one of them out.",
        )
    speakers = sorted({one.speaker for one in whole if one.speaker is not None})
    if settings.hold_out not in speakers:
        raise UserError(
            "--hold-out must be a speaker in the data.",
            f"It was {settings.hold_out!r}.",
            f"Give one of these: {', '.join(speakers[:20])}."
            if speakers
            else "Add a column speaker to the manifest, or name one with --speaker-field.",
        )
    others = [one for one in whole if one.speaker != settings.hold_out]
    return others, [one for one in whole if one.speaker == settings.hold_out]


def _long_enough(splits: Mapping[str, SpeechSplit], subsampling: int) -> tuple[SpeechSplit, list[str]]:
    """Return the utterances that CTC can train on, and notes on texts too long for their sound."""
    notes, train = [], splits["training"]
    for name, split in splits.items():
        if not len(split):
            continue
        lengths, least = list(map(len, split.frames)), list(map(min_ctc_frames, split.tokens))
        kept, lost = long_enough(name, split.utterances, lengths, least, subsampling)
        train = split.select(kept) if name == "training" else train
        if lost is not None:
            what = "left out" if name == "training" else "cannot all be right"
            notes.append(f"texts of the {name} split that are too long for their frames ({what}): {lost}")
    return train, notes


def _unknown_notes(splits: Mapping[str, SpeechSplit], preprocessing: SpeechPreprocessing) -> list[str]:
    """Return notes on texts of the other splits that have no tokens."""
    notes = []
    for name, split in splits.items():
        count = sum(preprocessing.tokenizer.unknown(text) for text in split.texts)
        if count and name != "training":
            what = "word" if preprocessing.tokenizer.kind == "word" else "character"
            are = f"{what} of the {name} split is" if count == 1 else f"{what}s of the {name} split are"
            notes.append(f"{count:,} {are} in no training sentence and cannot be recognized")
    return notes


def _digest(splits: Mapping[str, list[Utterance]], preprocessing: SpeechPreprocessing) -> str:
    tokenizer, frontend = preprocessing.tokenizer, preprocessing.frontend
    digest = sha256(repr((tokenizer.pieces, frontend.rate, frontend.size)).encode())
    for name, utterances in splits.items():
        for one in utterances:
            sizes = [path.stat().st_size for path in one.paths]
            digest.update(repr((name, one.name, one.text, one.speaker, sizes)).encode())
    return digest.hexdigest()

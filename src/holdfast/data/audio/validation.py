"""What is wrong with recordings is told before training, by the name of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from holdfast.data.audio.feature_cache import read_features
from holdfast.data.audio.manifest import FEATURES, Utterance
from holdfast.data.audio.sound_files import read_sound, sound_info
from holdfast.data.prefetch import prefetch
from holdfast.errors import UserError
from holdfast.files import listed

_FULL = 0.99
"""Samples from here on are at full scale: the largest of 8 bits is 0.992."""
_CLIPPED = 0.001
"""Share of samples at full scale from which a file is told to be clipped."""
SILENT = 0.001
"""A sound whose samples are all below is silent (-60 dB of full scale)."""

Parts = Mapping[str, Sequence[Utterance]]
"""Name of each part, such as "training", and its utterances."""
Notes = tuple[str, ...]


@dataclass(frozen=True)
class _Facts:
    """What a file holds.

    Attributes:
        digest: the same for files with the same samples or frames.
        clipped: share of the samples at full scale.
        silent: whether there is nothing to hear: no sample of a sound reaches 0.001, or all frames are the same.
    """

    digest: str
    clipped: float
    silent: bool


def most_common_rate(utterances: Sequence[Utterance]) -> int:
    """The rate that most files have, of two the lower one.

    Raises:
        UserError: a file that cannot be read.
    """
    counts = Counter(_rates(utterances).values())
    return min(counts, key=lambda found: (-counts[found], found))


def rate_notes(parts: Parts, rate: int) -> Notes:
    """What is told of files that have another rate than the one they are brought to."""
    notes: list[str] = []
    for part, those in parts.items():
        others = [f"{path.name} ({other:,})" for path, other in _rates(those).items() if other != rate]
        if others:
            notes.append(
                f"other rates in the {part} part, brought to {rate:,} samples a second: {listed(others)}"
            )
    return tuple(notes)


def _rates(utterances: Sequence[Utterance]) -> dict[Path, int]:
    paths = _files(utterances)
    return dict(zip(paths, prefetch(lambda path: sound_info(path).rate, paths, most=64), strict=True))


def check_audio(parts: Parts) -> Notes:
    """What is told of the files of all parts: clipped and silent ones, duplicates, and shared speakers.

    Each file is read once, by threads.

    Raises:
        UserError: a file that cannot be read, or a part of silent files only.
    """
    paths = dict.fromkeys(path for those in parts.values() for one in those for path in one.paths)
    facts = dict(zip(paths, prefetch(facts_of, paths), strict=True))
    notes: list[str] = []
    for part, those in parts.items():
        notes += [*_clipped(part, those, facts), *_silent(part, those, facts), *_twice(part, those, facts)]
    return (*notes, *_shared_files(parts, facts), *shared_speakers(parts))


def facts_of(path: Path) -> _Facts:
    """What a file of sound or of features holds."""
    if path.suffix.lower() == FEATURES:
        frames = read_features(path)
        return _Facts(_digest(frames), 0.0, bool((frames == frames[0]).all()))
    samples, rate = read_sound(path)
    level = np.abs(samples)
    clipped = float((level >= _FULL).mean())
    return _Facts(f"{rate} {_digest(samples)}", clipped, bool(level.max() < SILENT))


def _digest(array: np.ndarray) -> str:
    return sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def _files(those: Iterable[Utterance]) -> list[Path]:
    return list(dict.fromkeys(path for one in those for path in one.paths))


def _clipped(part: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> Notes:
    found = sorted(
        (path for path in _files(those) if facts[path].clipped >= _CLIPPED), key=lambda p: -facts[p].clipped
    )
    if not found:
        return ()
    named = listed([f"{path.name} ({facts[path].clipped:.1%})" for path in found])
    return (f"clipped in the {part} part (share of samples at full scale): {named}",)


def _silent(part: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> Notes:
    files = _files(those)
    found = [path.name for path in files if facts[path].silent]
    if found and len(found) == len(files):
        raise UserError(
            "Speech can be heard.",
            f"Every file of the {part} part is silent, such as {found[0]}.",
            "Record again, or check how the files were converted.",
        )
    return (f"silent in the {part} part: {listed(found)}",) if found else ()


def _twice(part: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> Notes:
    """Utterances of the same sound."""
    first: dict[tuple[str, ...], Utterance] = {}
    found = []
    for one in those:
        key = tuple(facts[path].digest for path in one.paths)
        other = first.get(key)
        if other is None:
            first[key] = one
        else:
            unlike = (
                "" if other.text == one.text else f", with the text {one.text!r} instead of {other.text!r}"
            )
            same = "" if one.name == other.name else f" = {other.name}"
            found.append(f"{one.name}{same}{unlike}")
    return (f"the same sound twice in the {part} part: {listed(found)}",) if found else ()


def _shared_files(parts: Parts, facts: Mapping[Path, _Facts]) -> Notes:
    """Files of one part whose sound is in an earlier one too."""
    notes: list[str] = []
    seen: dict[str, tuple[str, Path]] = {}
    for part, those in parts.items():
        found: dict[str, list[str]] = {}
        for path in _files(those):
            other, where = seen.setdefault(facts[path].digest, (part, path))
            if other != part:
                found.setdefault(other, []).append(
                    path.name if path.name == where.name else f"{path.name} = {where.name}"
                )
        notes += [
            f"sounds of the {part} part that are in the {other} part too, so its figures are too good: {listed(names)}"
            for other, names in found.items()
        ]
    return tuple(notes)


def shared_speakers(parts: Parts) -> Notes:
    """Speakers of one part who speak in an earlier one too."""
    speakers = {part: {one.speaker for one in those if one.speaker} for part, those in parts.items()}
    notes: list[str] = []
    for (first, known), (part, own) in combinations(speakers.items(), 2):
        if shared := sorted(known & own):
            notes.append(
                f"speakers of the {part} part who are in the {first} part too, so its figures are not those of new "
                f"speakers: {listed(shared)}"
            )
    return tuple(notes)


def min_ctc_frames(units: Sequence[int]) -> int:
    """The frames that CTC needs for some units: one for each, and a blank between two that are the same.

    Example:
        >>> min_ctc_frames([5, 5, 3])
        4
    """
    return len(units) + sum(a == b for a, b in pairwise(units))


def long_enough(
    part: str, utterances: Sequence[Utterance], frames: Sequence[int], least: Sequence[int], subsampling: int
) -> tuple[list[int], str | None]:
    """Which utterances have frames enough for CTC, by number, and the others by name, with what they lack.

    Args:
        part: its name.
        utterances: [N].
        frames: [N], before they become fewer.
        least: [N], of :func:`min_ctc_frames`.
        subsampling: R: ``ceil(frames / R)`` are left.

    Raises:
        UserError: none has.
    """
    left = [-(-count // subsampling) for count in frames]
    kept = [k for k, count in enumerate(left) if count >= max(least[k], 1)]
    lost = [
        f"{one.name} ({least[k]} needed, {left[k]} there)"
        for k, one in enumerate(utterances)
        if left[k] < max(least[k], 1)
    ]
    if not lost:
        return kept, None
    if not kept:
        raise UserError(
            "CTC needs a frame for each unit of a text, and one between two that are the same.",
            f"No utterance of the {part} part has enough, such as {lost[0]}.",
            "Check that texts and sounds belong together, or give a lower --subsampling or --token word.",
        )
    return kept, listed(lost)

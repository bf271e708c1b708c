"""Checks of recordings before training; notes and errors name the files."""

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
"""Samples from this value on are at full scale: the largest of 8 bits is 0.992."""
_CLIPPED = 0.001
"""Fraction of samples at full scale from which a file counts as clipped."""
SILENT = 0.001
"""A sound whose samples are all smaller is silent (-60 dB of full scale)."""

_Splits = Mapping[str, Sequence[Utterance]]
"""Name of each split, such as "training", and its utterances."""
_Notes = tuple[str, ...]


@dataclass(frozen=True)
class _Facts:
    """Properties of a file.

    Attributes:
        digest: equal for files with the same samples or frames.
        clipped: fraction of the samples at full scale.
        silent: whether no sample reaches 0.001, or all frames are equal.
    """

    digest: str
    clipped: float
    silent: bool


def most_common_rate(utterances: Sequence[Utterance]) -> int:
    """Return the most common sampling rate; of two equally common ones, the lower.

    Raises:
        UserError: a file cannot be read.
    """
    counts = Counter(_rates(utterances).values())
    return min(counts, key=lambda found: (-counts[found], found))


def rate_notes(splits: _Splits, rate: int) -> _Notes:
    """Return notes on files that must be resampled to ``rate``."""
    notes: list[str] = []
    for split, those in splits.items():
        others = [f"{path.name} ({other:,})" for path, other in _rates(those).items() if other != rate]
        if others:
            notes.append(
                f"the {split} split has other rates, resampled to {rate:,} samples per second: {listed(others)}"
            )
    return tuple(notes)


def _rates(utterances: Sequence[Utterance]) -> dict[Path, int]:
    paths = _files(utterances)
    return dict(zip(paths, prefetch(lambda path: sound_info(path).rate, paths, buffer_size=64), strict=True))


def check_audio(splits: _Splits) -> _Notes:
    """Return notes on all splits' files: clipped, silent and duplicate ones, and shared speakers.

    Threads read each file once.

    Raises:
        UserError: a file cannot be read, or all files of a split are silent.
    """
    paths = dict.fromkeys(path for those in splits.values() for one in those for path in one.paths)
    facts = dict(zip(paths, prefetch(facts_of, paths), strict=True))
    notes: list[str] = []
    for split, those in splits.items():
        notes += [*_clipped(split, those, facts), *_silent(split, those, facts), *_twice(split, those, facts)]
    return (*notes, *_shared_files(splits, facts), *shared_speakers(splits))


def facts_of(path: Path) -> _Facts:
    """Return the properties of a file of sound or of features."""
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


def _clipped(split: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> _Notes:
    found = sorted(
        (path for path in _files(those) if facts[path].clipped >= _CLIPPED), key=lambda p: -facts[p].clipped
    )
    if not found:
        return ()
    named = listed([f"{path.name} ({facts[path].clipped:.1%})" for path in found])
    return (f"clipped in the {split} split (fraction of samples at full scale): {named}",)


def _silent(split: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> _Notes:
    files = _files(those)
    found = [path.name for path in files if facts[path].silent]
    if found and len(found) == len(files):
        raise UserError(
            "The recordings must not all be silent.",
            f"Every file of the {split} split is silent, such as {found[0]}.",
            "Record again, or check how the files were converted.",
        )
    return (f"silent in the {split} split: {listed(found)}",) if found else ()


def _twice(split: str, those: Sequence[Utterance], facts: Mapping[Path, _Facts]) -> _Notes:
    """Return a note on utterances of the same sound in one split."""
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
    return (f"duplicate sounds in the {split} split: {listed(found)}",) if found else ()


def _shared_files(splits: _Splits, facts: Mapping[Path, _Facts]) -> _Notes:
    """Return notes on files of one split whose sound is also in an earlier split."""
    notes: list[str] = []
    seen: dict[str, tuple[str, Path]] = {}
    for split, those in splits.items():
        found: dict[str, list[str]] = {}
        for path in _files(those):
            other, where = seen.setdefault(facts[path].digest, (split, path))
            if other != split:
                found.setdefault(other, []).append(
                    path.name if path.name == where.name else f"{path.name} = {where.name}"
                )
        notes += [
            f"sounds of the {split} split that are also in the {other} split, so its metrics look too good: "
            f"{listed(names)}"
            for other, names in found.items()
        ]
    return tuple(notes)


def shared_speakers(splits: _Splits) -> _Notes:
    """Return notes on speakers of one split who also speak in an earlier one."""
    speakers = {split: {one.speaker for one in those if one.speaker} for split, those in splits.items()}
    notes: list[str] = []
    for (first, known), (split, own) in combinations(speakers.items(), 2):
        if shared := sorted(known & own):
            notes.append(
                f"speakers of the {split} split who are also in the {first} split, so its metrics do not hold for new "
                f"speakers: {listed(shared)}"
            )
    return tuple(notes)


def min_ctc_frames(tokens: Sequence[int]) -> int:
    """Return the frames that CTC needs: one for each token, and a blank between two equal ones.

    Example:
        >>> min_ctc_frames([5, 5, 3])
        4
    """
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def long_enough(
    split: str, utterances: Sequence[Utterance], frames: Sequence[int], least: Sequence[int], subsampling: int
) -> tuple[list[int], str | None]:
    """Return the indices of the utterances with enough frames for CTC, and a list of the others.

    Args:
        split: name of the split.
        utterances: [N].
        frames: number of frames [N], before subsampling.
        least: minimum number of frames [N], from :func:`min_ctc_frames`.
        subsampling: R: ``ceil(frames / R)`` frames remain.

    Raises:
        UserError: no utterance has enough.
    """
    left = [-(-count // subsampling) for count in frames]
    kept = [k for k, count in enumerate(left) if count >= max(least[k], 1)]
    lost = [
        f"{one.name} (needs {least[k]}, has {left[k]})"
        for k, one in enumerate(utterances)
        if left[k] < max(least[k], 1)
    ]
    if not lost:
        return kept, None
    if not kept:
        raise UserError(
            "An utterance must have a frame for each token of its text, and one more between two equal tokens (CTC).",
            f"No utterance of the {split} split has enough, such as {lost[0]}.",
            "Check that texts and sounds belong together, or give a lower --subsampling or --token word.",
        )
    return kept, listed(lost)

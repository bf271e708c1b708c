"""Features of utterances: filterbanks of their sounds, or precomputed features, computed once and
cached.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np

from holdfast.data.audio.augmentation import change_speed
from holdfast.data.audio.filterbanks import Filterbanks, Frames
from holdfast.data.audio.manifest import FEATURES, Utterance
from holdfast.data.audio.sound_files import Samples, read_sound
from holdfast.data.prefetch import prefetch
from holdfast.errors import UserError
from holdfast.files import write_atomic

Change = Callable[[Samples], Samples]
"""A change of an utterance's samples, such as added noise."""
_FORM = 2
"""Version of the cached files; another version recomputes them."""


class Features:
    """Base of the sources of features for utterances.

    Attributes:
        size: F, the numbers in a frame.
        rate: samples per second of the sounds; None for precomputed features.
    """

    rate: int | None = None

    def __init__(self, size: int, cache: _Cache | None) -> None:
        self.size, self._cache = size, cache or _NoCache()

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """Return the frames [T, F] of an utterance as float32, read-only.

        Args:
            utterance: the utterance; its files are joined in order.
            speed: playback speed of the sound; cached for each speed.
            change: a change of the samples; its result is not cached.

        Raises:
            UserError: a file breaks a rule, or a speed or change is given for precomputed features.
        """
        raise NotImplementedError

    def all(self, utterances: Iterable[Utterance], speed: float = 1.0) -> Iterator[Frames]:
        """Yield the frames of each utterance, computed by threads."""
        return prefetch(lambda one: self.get(one, speed), utterances)


def feature_source(
    utterances: Sequence[Utterance], rate: int, bands: int, cache: Path | None = None
) -> SoundFeatures | ReadyFeatures:
    """Return a source of filterbanks, or of the precomputed features that the utterances have.

    Args:
        utterances: at least one utterance.
        rate, bands: arguments of :class:`Filterbanks`, ignored for precomputed features.
        cache: folder for filterbanks as .npy files, which are memory-mapped; None: cache in memory.

    Raises:
        UserError: as :class:`Filterbanks`; or the first file of features breaks a rule.
    """
    if utterances[0].ready:
        return ReadyFeatures(read_features(utterances[0].paths[0]).shape[1], _MemoryCache())
    filterbanks = Filterbanks(rate, bands)
    return SoundFeatures(
        filterbanks, _MemoryCache() if cache is None else _FolderCache(Path(cache), filterbanks)
    )


class SoundFeatures(Features):
    """Filterbanks of sounds; the sounds of an utterance are joined as samples."""

    rate: int

    def __init__(self, filterbanks: Filterbanks, cache: _Cache | None = None) -> None:
        super().__init__(filterbanks.bands, cache)
        self.filterbanks, self.rate = filterbanks, filterbanks.rate

    def uncached(self) -> SoundFeatures:
        """Return the same source without a cache."""
        return SoundFeatures(self.filterbanks)

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """See :meth:`Features.get`."""
        if change is not None:
            return self.filterbanks(change(self._samples(utterance, speed)))
        return self._cache.get(utterance, speed, lambda: self.filterbanks(self._samples(utterance, speed)))

    def _samples(self, utterance: Utterance, speed: float) -> Samples:
        return change_speed(joined_samples(utterance, self.rate), self.rate, speed)


class ReadyFeatures(Features):
    """Precomputed features in .npy files; the files of an utterance are joined as frames."""

    def __init__(self, size: int, cache: _Cache | None = None) -> None:
        super().__init__(size, cache)

    def uncached(self) -> ReadyFeatures:
        """Return the same source without a cache."""
        return ReadyFeatures(self.size)

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """See :meth:`Features.get`."""
        if speed != 1 or change is not None:
            raise UserError(
                "--speeds and --noise must be used with sounds.",
                f"{utterance.name} holds features.",
                "Leave out --speeds and --noise; use masks, which work on features too.",
            )
        return self._cache.get(utterance, speed, lambda: self._joined(utterance))

    def _joined(self, utterance: Utterance) -> Frames:
        arrays = []
        for path in utterance.paths:
            arrays.append(read_features(path))
            if arrays[-1].shape[1] != self.size:
                raise UserError(
                    f"All features must have {self.size} numbers in a frame.",
                    f"{path} has {arrays[-1].shape[1]}.",
                    "Compute it like the others, or leave it out.",
                )
        return np.concatenate(arrays)


def joined_samples(utterance: Utterance, rate: int) -> Samples:
    """Return the sounds of an utterance, joined in order and resampled to one rate [n]."""
    if utterance.ready:
        raise UserError(
            "The input of this model must be sound.",
            f"{utterance.name} holds features ({FEATURES}).",
            "Give sounds, as in training.",
        )
    return np.concatenate([read_sound(path, rate)[0] for path in utterance.paths])


def read_features(path: Path) -> Frames:
    """Read precomputed features [T, F] from a .npy file, as float32.

    Raises:
        UserError: the file is missing, holds no two-dimensional array of floats, has no frames, or
            a value is not finite.
    """
    rule = f"Precomputed features must be a {FEATURES} file with an array [frames, numbers] of floats."
    fix = "Compute it again, or leave it out."
    try:
        found: object = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(rule, f"{path} cannot be read: {error.strerror or error}.", fix) from error
    except (ValueError, EOFError) as error:
        raise UserError(rule, f"{path} is not, or is cut off: {error}.", fix) from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        form = (
            f"shape {found.shape} and type {found.dtype}"
            if isinstance(found, np.ndarray)
            else "several arrays"
        )
        raise UserError(rule, f"{path} has {form}.", fix)
    if 0 in found.shape:
        raise UserError(rule, f"{path} is empty: shape {found.shape}.", fix)
    with np.errstate(over="ignore"):  # reported below
        frames = found.astype(np.float32, copy=False)
    if not np.isfinite(frames).all():
        row = int(np.flatnonzero(~np.isfinite(frames).all(1))[0])
        raise UserError("Features must be finite numbers.", f"Frame {row} of {path} has others.", fix)
    return frames


# -- caches ------------------------------------------------------------------------------------------------------


class _Cache(Protocol):
    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        """Return the cached frames; compute and cache them the first time."""
        ...


class _NoCache:
    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        return compute()


def _files(utterance: Utterance) -> tuple[tuple[str, int, int], ...]:
    """Identify files by their paths, sizes and modification times."""
    stats = [(path, path.stat()) for path in utterance.paths]
    return tuple((str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats)


class _MemoryCache:
    def __init__(self) -> None:
        self._frames: dict[Any, Frames] = {}

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        key = (_files(utterance), speed)
        if key not in self._frames:
            self._frames[key] = compute()
        return self._frames[key]


class _FolderCache:
    """A cache in a folder: a file for each utterance and speed, named by a hash of its sources."""

    def __init__(self, folder: Path, filterbanks: Filterbanks) -> None:
        self._writing = Lock()
        self.folder, self.settings = folder, (_FORM, filterbanks.rate, filterbanks.bands)
        if folder.exists() and not folder.is_dir():
            raise UserError("--cache must be a folder.", f"{folder} is a file.", "Give another --cache.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            rule = f"The folder {folder} must be writable."
            raise UserError(rule, f"The system refused: {reason}.", "Give another --cache.") from error

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        path = self.folder / f"{self._key(utterance, speed)}{FEATURES}"
        if not path.exists():
            data = io.BytesIO()
            np.save(data, compute(), allow_pickle=False)
            with self._writing:
                write_atomic(path, data.getvalue())
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except (OSError, ValueError, EOFError) as error:
            raise UserError(
                f"{path} must hold the frames that Holdfast wrote.",
                f"It is damaged: {error}.",
                f"Delete the folder {self.folder}; it is computed again.",
            ) from error

    def _key(self, utterance: Utterance, speed: float) -> str:
        """Return a hash of the files' paths, sizes and times, the speed and the settings."""
        return sha256(repr((self.settings, speed, _files(utterance))).encode()).hexdigest()[:32]

"""The frames of utterances: filterbanks of their sounds, or ready features, computed once and kept."""

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
"""What is done to the samples of an utterance, such as adding noise."""
_FORM = 2
"""Number of the way in which kept files are made: another one makes them anew."""


class Features(Protocol):
    """What gives the frames of utterances."""

    @property
    def size(self) -> int:
        """F, the numbers of a frame."""
        ...

    @property
    def rate(self) -> int | None:
        """Samples a second of the sounds; None for ready features."""
        ...

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """Its frames [T, F], float32, which are not to be written to.

        Args:
            utterance: its files are joined in order.
            speed: at which its sound is played; kept as that of speed 1 is.
            change: is done to its samples; what it gives is not kept.

        Raises:
            UserError: everything that is wrong with a file; speed or change of ready features.
        """
        ...

    def all(self, utterances: Iterable[Utterance], speed: float = 1.0) -> Iterator[Frames]:
        """Those of each, computed by threads."""
        ...


def feature_source(
    utterances: Sequence[Utterance], rate: int, bands: int, cache: Path | None = None
) -> SoundFeatures | ReadyFeatures:
    """Filterbanks at this rate with so many bands; or the ready features that the utterances have.

    Args:
        utterances: of them at least one.
        rate, bands: of :class:`Filterbanks`; ready features need none.
        cache: folder to keep filterbanks in as .npy files, from where they are mapped into memory; None keeps them in
            memory.

    Raises:
        UserError: as :class:`Filterbanks`; a first file of features that is none.
    """
    if utterances[0].ready:
        return ReadyFeatures(read_features(utterances[0].paths[0]).shape[1], _MemoryCache())
    filterbanks = Filterbanks(rate, bands)
    return SoundFeatures(
        filterbanks, _MemoryCache() if cache is None else _FolderCache(Path(cache), filterbanks)
    )


class SoundFeatures:
    """Filterbanks of sounds; the sounds of an utterance are joined as samples."""

    def __init__(self, filterbanks: Filterbanks, keeping: _Cache | None = None) -> None:
        self.filterbanks, self.rate, self.size = filterbanks, filterbanks.rate, filterbanks.bands
        self._kept = keeping or _NoCache()

    def uncached(self) -> SoundFeatures:
        """The same, which keeps nothing."""
        return SoundFeatures(self.filterbanks)

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """See :meth:`Features.get`."""
        if change is not None:
            return self.filterbanks(change(self._samples(utterance, speed)))
        return self._kept.get(utterance, speed, lambda: self.filterbanks(self._samples(utterance, speed)))

    def all(self, utterances: Iterable[Utterance], speed: float = 1.0) -> Iterator[Frames]:
        """See :meth:`Features.all`."""
        return prefetch(lambda one: self.get(one, speed), utterances)

    def _samples(self, utterance: Utterance, speed: float) -> Samples:
        return change_speed(joined_samples(utterance, self.rate), self.rate, speed)


class ReadyFeatures:
    """Features that are ready in .npy files; those of an utterance are joined as frames."""

    def __init__(self, size: int, keeping: _Cache | None = None) -> None:
        self.size, self.rate = size, None
        self._kept = keeping or _NoCache()

    def uncached(self) -> ReadyFeatures:
        """The same, which keeps nothing."""
        return ReadyFeatures(self.size)

    def get(self, utterance: Utterance, speed: float = 1.0, change: Change | None = None) -> Frames:
        """See :meth:`Features.get`."""
        if speed != 1 or change is not None:
            raise UserError(
                "Speed and noise are changed in sound.",
                f"{utterance.name} holds features.",
                "Leave out --speeds and --noise; masks are for features too.",
            )
        return self._kept.get(utterance, speed, lambda: self._joined(utterance))

    def all(self, utterances: Iterable[Utterance], speed: float = 1.0) -> Iterator[Frames]:
        """See :meth:`Features.all`."""
        return prefetch(lambda one: self.get(one, speed), utterances)

    def _joined(self, utterance: Utterance) -> Frames:
        parts = []
        for path in utterance.paths:
            parts.append(read_features(path))
            if parts[-1].shape[1] != self.size:
                raise UserError(
                    f"All features have as many numbers a frame: {self.size}.",
                    f"{path} has {parts[-1].shape[1]}.",
                    "Compute it as the others were, or leave it out.",
                )
        return np.concatenate(parts)


def joined_samples(utterance: Utterance, rate: int) -> Samples:
    """The sounds of an utterance at one rate, one after the other [n]."""
    if utterance.ready:
        raise UserError(
            "This model listens to sounds.",
            f"{utterance.name} holds features ({FEATURES}).",
            "Give the sounds, as in training.",
        )
    return np.concatenate([read_sound(path, rate)[0] for path in utterance.paths])


def read_features(path: Path) -> Frames:
    """Ready features [T, F] of a .npy file, as float32.

    Raises:
        UserError: no such file, no array of floats with two axes, no frames, or something that is no number.
    """
    rule = f"Ready features are a {FEATURES} file with an array [frames, numbers] of floats."
    fix = "Compute it again, or leave it out."
    try:
        found: Any = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(rule, f"{path} cannot be read: {error.strerror or error}.", fix) from error
    except (ValueError, EOFError) as error:
        raise UserError(rule, f"{path} is no such file, or is cut: {error}.", fix) from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        form = (
            f"shape {found.shape} and type {found.dtype}"
            if isinstance(found, np.ndarray)
            else "several arrays"
        )
        raise UserError(rule, f"{path} has {form}.", fix)
    if 0 in found.shape:
        raise UserError(rule, f"{path} has shape {found.shape}: nothing.", fix)
    with np.errstate(over="ignore"):  # told below
        frames = found.astype(np.float32, copy=False)
    if not np.isfinite(frames).all():
        row = int(np.flatnonzero(~np.isfinite(frames).all(1))[0])
        raise UserError("Features are finite numbers.", f"Frame {row} of {path} has others.", fix)
    return frames


# -- keeping -----------------------------------------------------------------------------------------------------


class _Cache(Protocol):
    """What keeps frames."""

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        """What is kept, or what is computed."""
        ...


class _NoCache:
    """Keeps nothing."""

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        """What is computed."""
        return compute()


def _files(utterance: Utterance) -> tuple[tuple[str, int, int], ...]:
    """By what files are known: places, sizes and times of their last change."""
    stats = [(path, path.stat()) for path in utterance.paths]
    return tuple((str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats)


class _MemoryCache:
    """Keeps frames in memory."""

    def __init__(self) -> None:
        self._frames: dict[Any, Frames] = {}

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        """What is kept, or what is computed and kept from now on."""
        key = (_files(utterance), speed)
        if key not in self._frames:
            self._frames[key] = compute()
        return self._frames[key]


class _FolderCache:
    """Keeps frames in a folder: a file for each utterance and speed, named by what its frames depend on."""

    def __init__(self, folder: Path, filterbanks: Filterbanks) -> None:
        self._writing = Lock()
        self.folder, self.settings = folder, (_FORM, filterbanks.rate, filterbanks.bands)
        if folder.exists() and not folder.is_dir():
            raise UserError("Frames are kept in a folder.", f"{folder} is a file.", "Give another --cache.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            rule = f"The folder {folder} must be writable."
            raise UserError(rule, f"The system refused: {reason}.", "Give another --cache.") from error

    def get(self, utterance: Utterance, speed: float, compute: Callable[[], Frames]) -> Frames:
        """What is kept, or what is computed and kept from now on."""
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
                f"{path} holds frames as Holdfast wrote them.",
                f"It is damaged: {error}.",
                f"Remove the folder {self.folder}; it is made anew.",
            ) from error

    def _key(self, utterance: Utterance, speed: float) -> str:
        """Of the files' places, sizes and times, the speed and the settings."""
        return sha256(repr((self.settings, speed, _files(utterance))).encode()).hexdigest()[:32]

"""Samples from sound files and streams: any libsndfile format, any rate, any number of channels."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import UserError
from holdfast.files import missing_file, unreadable
from holdfast.optional_imports import load_extra

Samples = NDArray[np.float32]

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64")
"""Endings of the sound files in a folder; a file given by name may have any ending."""
_LACKING = 0.05
"""Fraction of its samples that a compressed file may lack: some formats only estimate their number."""
_ENDLESS = 0x7FFFFF00
"""From this many bytes on, a wav header only says that the length was unknown when it was written."""
_DATA = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)


@dataclass(frozen=True)
class _SoundInfo:
    """The header of a sound file.

    Attributes:
        rate: samples per second.
        channels: number of channels.
        frames: samples of each channel.
    """

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """The duration."""
        return self.frames / self.rate


def sound_info(path: Path) -> _SoundInfo:
    """Read the rate, the channels and the length of a sound file without decoding it.

    Raises:
        UserError: as :func:`read_sound`, except for what only decoding reveals.
    """
    with _opened(Path(path)) as file:
        return _SoundInfo(file.samplerate, file.channels, file.frames)


def read_sound(path: Path, rate: int | None = None) -> tuple[Samples, int]:
    """Read the samples of a sound file as the mean of its channels.

    Args:
        path: the file: wav, flac, ogg, mp3 or any other format of libsndfile.
        rate: samples per second to resample to (by soxr); None: the rate of the file.

    Returns:
        samples [n] within -1 ... 1, and their rate.

    Raises:
        UserError: the file is missing, a folder, not sound, empty, damaged or cut off, or a sample
            is not finite.

    Example:
        >>> import tempfile, soundfile
        >>> path = Path(tempfile.mkdtemp()) / "tone.wav"
        >>> soundfile.write(path, np.sin(np.arange(8000) / 5), 8000)
        >>> samples, rate = read_sound(path, 16000)
        >>> samples.shape, rate
        ((16000,), 16000)
    """
    path = Path(path)
    with _opened(path) as file, _decoding(path):
        found = file.read(dtype="float32", always_2d=True)
        own = file.samplerate
        _check_whole(path, file, len(found))
    samples = _mono(path, found)
    if rate is None or rate == own:
        return samples, own
    return resample(samples, own, rate), rate


def resample(samples: Samples, rate: float, wanted: float) -> Samples:
    """Resample samples [n] by soxr in high quality."""
    import soxr

    found: Samples = soxr.resample(samples, rate, wanted).astype(np.float32, copy=False)
    return found


def read_blocks(
    source: Path | BinaryIO, rate: int, seconds: float = 0.1, *, pcm_rate: int | None = None
) -> Iterator[Samples]:
    """Read sound in blocks, in constant memory.

    Args:
        source: a sound file (mixed and resampled as :func:`read_sound` does), or a stream of raw
            16-bit little-endian samples of one channel, such as stdin.
        rate: samples per second to resample to.
        seconds: length of a block before resampling; the last block may be shorter.
        pcm_rate: samples per second of a stream; None: as ``rate``.

    Yields:
        samples [n] within -1 ... 1.

    Raises:
        UserError: as :func:`read_sound`; or a stream begins like a sound file, or ends within a
            sample.
    """
    if not 0 < seconds < float("inf"):
        rule = "A block must last more than 0 seconds."
        raise UserError(rule, f"It was {seconds}.", "Give for example 0.1.")
    if isinstance(source, Path):
        return _file_blocks(source, rate, seconds)
    own = pcm_rate or rate
    return _at_rate(_pcm_blocks(source, max(1, round(own * seconds))), own, rate)


def _file_blocks(path: Path, rate: int, seconds: float) -> Iterator[Samples]:
    with _opened(path) as file, _decoding(path):
        size = max(1, round(file.samplerate * seconds))
        yield from _at_rate(_mixed(path, file, size), file.samplerate, rate)


def _mixed(path: Path, file: Any, size: int) -> Iterator[Samples]:
    read = 0
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        read += len(block)
        yield _mono(path, block)
    _check_whole(path, file, read)


def _at_rate(blocks: Iterable[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    if rate == wanted:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")
    for block in blocks:
        if len(found := stream.resample_chunk(block)):
            yield found
    if len(found := stream.resample_chunk(np.zeros(0, np.float32), last=True)):
        yield found


def _pcm_blocks(stream: BinaryIO, size: int) -> Iterator[Samples]:
    first = True
    while data := _exactly(stream, 2 * size):
        if first and data[:4] in (b"RIFF", b"fLaC", b"OggS", b"ID3\x03", b"ID3\x04"):
            raise UserError(
                "A stream must be raw samples: 16 bits, little-endian, one channel, without a header.",
                f"It begins like a sound file: {data[:4]!r}.",
                "Name the file instead, or convert it in the pipe: ffmpeg -i FILE -f s16le -ac 1 -ar RATE -.",
            )
        first = False
        whole = len(data) // 2 * 2
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.float32) * np.float32(1 / 32768)
        if whole < len(data):
            raise UserError(
                "A stream must hold samples of 16 bits, two bytes each.",
                "It ended within a sample.",
                "Send 16-bit samples (s16le).",
            )


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, or all that are left."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


# -- errors ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    soundfile = load_extra("soundfile", "speech")
    rule = "The sound must be a file."
    if not path.exists():
        raise missing_file(path, "sound file")
    if path.is_dir():
        raise UserError(rule, f"{path} is a folder.", "Name a file in it.")
    if path.stat().st_size == 0:
        raise _empty(path, "is empty (0 bytes)")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: it ends in .raw
        raise _unreadable(path, error) from error
    with file:
        if file.frames == 0:
            raise _empty(path, "has none")
        yield file


def _unreadable(path: Path, error: Exception) -> UserError:
    try:
        path.open("rb").close()
    except OSError as refusal:
        return unreadable(path, refusal)
    return UserError(
        "The sound must be a wav, flac, ogg or mp3 file.",
        f"{path} cannot be read: {_reason(error)}.",
        "Convert it, for example with ffmpeg -i FILE -ac 1 new.wav; or copy it again, if it is damaged.",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "error_string", str(error)).removeprefix("Error : ").strip().rstrip(".")


def _empty(path: Path, what: str) -> UserError:
    return UserError(
        "A sound file must hold samples.", f"{path} {what}.", "Record it again, or leave it out."
    )


@contextlib.contextmanager
def _decoding(path: Path) -> Iterator[None]:
    import soundfile

    try:
        yield
    except soundfile.LibsndfileError as error:
        raise _damaged(path, _reason(error)) from error


def _damaged(path: Path, what: str) -> UserError:
    return UserError(
        "A sound file must be complete.",
        f"{path} is not: {what}.",
        "Copy or record it again, or leave it out.",
    )


def _check_whole(path: Path, file: Any, read: int) -> None:
    """Check that the file is as long as its header declares, in samples and in bytes."""
    if read < (1 - _LACKING) * file.frames:
        raise _damaged(path, f"it declares {file.frames:,} samples, but {read:,} could be read")
    said = _DATA.search(file.extra_info)
    if said and int(said[2]) < int(said[1]) < _ENDLESS:
        raise _damaged(
            path, f"its header declares {int(said[1]):,} bytes of sound, but it has {int(said[2]):,}"
        )


def _mono(path: Path, found: Samples) -> Samples:
    """Average the channels of [n, channels]."""
    samples: Samples = found[:, 0] if found.shape[1] == 1 else found.mean(1)
    if not np.isfinite(samples).all():
        place = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise UserError(
            "Samples must be finite numbers.",
            f"{path} has {samples[place]} at sample {place:,} of a block of {len(samples):,}.",
            "Record or convert it again, or leave it out.",
        )
    return samples

"""Sound from scores, by the synthesizer midirenderer and a soundfont."""

from __future__ import annotations

import importlib.util
import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import UserError
from holdfast.files import write_atomic
from holdfast.optional_imports import load_extra

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score

RATE = 48_000
"""Samples per second of the synthesizer."""
FOLDER = Path("/usr/share/sounds/sf2")
"""Where Debian's packages install soundfonts."""
_LOUDEST = 0.9
"""Peak of the written sound."""


def find_soundfont(requested: Path | None = None) -> Path:
    """Return the requested soundfont, an installed one, or the one in the package pretty_midi.

    Raises:
        UserError: there is none, or the file is not SF2.
    """
    if requested is not None:
        _check(Path(requested))
        return Path(requested)
    found = sorted(FOLDER.glob("*.sf2"))
    package = importlib.util.find_spec("pretty_midi")  # found without loading it
    folders = (package.submodule_search_locations or []) if package else []
    found += [path for folder in folders for path in sorted(Path(folder).glob("*.sf2"))]
    if not found:
        raise UserError(
            "A soundfont must be installed.",
            f"{FOLDER} has none, and the package pretty_midi, which contains one, is not installed.",
            "Give one with --soundfont FILE.sf2, or run: pip install 'holdfast[music]'.",
        )
    return found[0]


def _check(path: Path) -> None:
    rule = "A soundfont must be an SF2 file."
    try:
        with path.open("rb") as file:
            head = file.read(12)
        size = path.stat().st_size
    except OSError as error:
        got = f"{path} cannot be read: {error.strerror or error}."
        raise UserError(rule, got, "Check the name, or leave --soundfont out.") from error
    length = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or head[8:] != b"sfbk" or length + 8 > size:
        cut = head[:4] == b"RIFF" and head[8:] == b"sfbk"
        got = f"{path} is {'cut off' if cut else 'not'}."
        raise UserError(rule, got, "Give another one, or leave --soundfont out.")


def sound_of(score: Score, soundfont: Path, seconds: float | None = None) -> NDArray[np.float32]:
    """Render a score as sound [n, 2], left and right; cut or pad it to ``seconds`` if given.

    Raises:
        UserError: the synthesizer is not installed, or cannot read the soundfont.
    """
    midirenderer = load_extra("midirenderer", "music")
    try:
        rendered = midirenderer.render_wave_from(soundfont.read_bytes(), bytes(score.dumps_midi()))
    except (RuntimeError, ValueError) as error:
        rule, got = "A soundfont must be an SF2 file.", f"{soundfont} cannot be read: {error}."
        raise UserError(rule, got, "Give another one with --soundfont.") from error
    with wave.open(io.BytesIO(rendered)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    found = samples.astype(np.float32) / 32768
    if seconds is not None:
        length = round(seconds * RATE)
        found = np.pad(found[:length], ((0, max(0, length - len(found))), (0, 0)))
    peak = float(np.abs(found).max(initial=0.0))
    return np.asarray(found * (_LOUDEST / (peak or 1.0)), np.float32)


def save_wav(path: Path, sound: NDArray[np.float32]) -> None:
    """Write sound [n, 2] as a 16-bit WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    write_atomic(path, content.getvalue())

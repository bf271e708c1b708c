"""Demo of speech: commands to a smart home, spoken by a speech synthesizer in many voices."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdfast.data.prefetch import prefetch
from holdfast.demos.base import Announce, Demo, compare_cells, write_data
from holdfast.errors import UserError
from holdfast.models.options import SpeechOptions
from holdfast.tasks.speech.config import SoundConfig, SpeechConfig, SpeechTraining

PHRASES = 780
"""The number of phrases, equally many in each voice."""
_VOICES = tuple(
    f"{accent}+{kind}" for accent in ("en-us", "en-gb", "en-gb-scotland") for kind in ("m1", "m3", "f2", "f4")
)
"""Accents and voices of espeak-ng."""
STRANGER = "en-us+m7"
"""The voice of the test split; it is not in the training split."""
_WORDS_A_MINUTE, _PITCHES = (120, 190), (30, 65)
_ROOMS, _DEVICES = ("kitchen", "bedroom", "garden", "garage"), ("light", "heater", "fan", "radio")
_NAMES = ("anna", "oliver", "maria", "henry")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Spoken:
    """A phrase, its voice, the words per minute, and the pitch from 0 to 99."""

    text: str
    voice: str
    speed: int
    pitch: int


def demo(out: Path, announce: Announce = lambda text: None) -> Demo:
    """Compare GRU and LSTM on commands spoken by espeak-ng: 12 voices, tested on a 13th."""
    config = SpeechConfig(
        data=SoundConfig(token="word", split="0.9/0.1/0", hold_out=STRANGER),
        network=SpeechOptions(hidden_size=96, num_layers=1, subsampling=4, channels=96),
        training=SpeechTraining(epochs=16, batch_size=8, learning_rate=4e-3),
    )
    _check_espeak()
    said = phrases(PHRASES)
    data = write_data(out, "speech", config, "spoken.tsv", manifest(said))
    announce(f"espeak-ng says {len(said)} commands in {len(_VOICES) + 1} voices ...")
    speak(said, data.parent)
    announce(f"Audio files and their texts: {data}")
    title = "Spoken commands, tested on a new voice"
    return compare_cells("speech", config, data, title, announce, next=_next)


def _next(data: Path, run: str, settings: list[str]) -> list[list[str]]:
    sound, plot, own = (str(data.parent / name) for name in ("0.wav", "words.png", "own.wav"))
    return [
        ["holdfast", "predict", run, sound, "--times", "--plot", plot],
        ["espeak-ng", "-v", STRANGER, "-w", own, "garage heater off"],
        ["holdfast", "predict", run, own],
        ["holdfast", "train", "speech", "YOUR.tsv"],
    ]


def phrases(count: int, seed: int = 0) -> list[Spoken]:
    """Sample distinct commands, equally many for each voice."""
    rng = random.Random(seed)
    voices = (*_VOICES, STRANGER)
    found: dict[Spoken, None] = {}
    while len(found) < count:
        voice = voices[len(found) % len(voices)]
        found[Spoken(_command(rng), voice, rng.randint(*_WORDS_A_MINUTE), rng.randint(*_PITCHES))] = None
    return list(found)


def _command(rng: random.Random) -> str:
    pick = rng.choice
    kinds = (
        lambda: pick((*_ROOMS, *_DEVICES, *_NAMES, *_NUMBERS, "call", "on", "off")),
        lambda: " ".join(pick(_NUMBERS) for _ in range(rng.randint(1, 4))),
        lambda: f"{pick(_ROOMS)} {pick(_DEVICES)} {pick(('on', 'off'))}",
        lambda: f"call {pick(_NAMES)}",
    )
    return pick(kinds)()


def manifest(said: Iterable[Spoken]) -> str:
    """Return the manifest: file, text and voice of each phrase."""
    rows = (f"{number}.wav\t{one.text}\t{one.voice}\n" for number, one in enumerate(said))
    return "path\ttext\tspeaker\n" + "".join(rows)


def _check_espeak() -> None:
    """Check that espeak-ng is installed.

    Raises:
        UserError: it is not.
    """
    if shutil.which("espeak-ng") is None:
        raise UserError(
            "The program espeak-ng must be installed: it speaks the phrases of this demo.",
            "It is not on the PATH.",
            "Install it: apt install espeak-ng (Debian, Ubuntu) or brew install espeak-ng (macOS).",
        )


def speak(said: Iterable[Spoken], folder: Path) -> None:
    """Write the audio of each phrase as ``0.wav``, ``1.wav`` and so on.

    Raises:
        UserError: espeak-ng fails, for example because it lacks a voice.
    """
    work: Iterator[None] = prefetch(partial(_speak_one, folder), enumerate(said))
    for _ in work:
        pass


def _speak_one(folder: Path, numbered: tuple[int, Spoken]) -> None:
    number, one = numbered
    how = ["-v", one.voice, "-s", str(one.speed), "-p", str(one.pitch), "-w", str(folder / f"{number}.wav")]
    done = subprocess.run(["espeak-ng", *how, one.text], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            "espeak-ng must have the voices of this demo.",
            f"With the voice {one.voice} it failed: {done.stderr.strip() or done.returncode}.",
            "Install espeak-ng with all its voices.",
        )

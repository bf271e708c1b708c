"""Mistakes in music through the command line: rule, cause and fix, and no file written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import symusic

from commands import Expected, refused
from holdfast.data.music.notes import ScoreMeta, save_midi
from musical import folder_of, melody, piece, trained

FLAGS = ["--epochs", "1", "--hidden-size", "8", "--batch-size", "4", "--device", "cpu"]
WHOLE = bytes(piece(0).dumps_midi())
TEMPO = b"\xff\x51\x03" + round(60e6 / 100).to_bytes(3, "big")
Make = Callable[[Path], Path]


def alone(name: str, content: bytes | str) -> Make:
    """Write a single file."""

    def make(folder: Path) -> Path:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)
        return folder / name

    return make


def among(name: str, content: bytes | str) -> Make:
    """Write a file among good ones."""

    def make(folder: Path) -> Path:
        alone(name, content)(folder_of(folder / "midi"))
        return folder / "midi"

    return make


def midi(change: Callable[[Any], None]) -> bytes:
    score = piece(0)
    change(score)
    return bytes(score.dumps_midi())


def many(change: Callable[[Any], None]) -> Make:
    """Write a folder of such pieces."""

    def make(folder: Path) -> Path:
        (folder / "midi").mkdir()
        for number in range(10):
            (folder / "midi" / f"{number}.mid").write_bytes(midi(change))
        return folder / "midi"

    return make


def silence(score: Any) -> None:
    for track in score.tracks:
        track.notes.clear()


def endless(score: Any) -> None:
    score.tracks[0].notes.append(symusic.Note(480 * 30_000, 480, 60, 80))


def only(score: Any, track: symusic.Track) -> None:
    score.tracks = [track]


def far(score: Any) -> None:
    track = symusic.Track("high", 0, False)
    track.notes.append(symusic.Note(0, 480, 120, 80))
    only(score, track)


def drums(score: Any) -> None:
    track = symusic.Track("drums", 0, True)
    track.notes.append(symusic.Note(0, 480, 38, 80))
    only(score, track)


DATA: dict[str, tuple[Make, list[str], Expected]] = {
    "no such file": (lambda f: f / "none.mid", [], ("file or folder must exist", "there is no", "path")),
    "a folder without music": (
        lambda f: f,
        [],
        ("a folder of music must hold files that end in .mid", "holds none", "another folder"),
    ),
    "a file of another kind": (alone("a.txt", "la la"), [], ("must end in", "a.txt", "give")),
    "a wav file": (alone("a.wav", b"RIFF"), [], ("must end in", "a.wav", "give")),
    "nothing in it": (alone("a.mid", b""), [], ("a.mid must be a midi file", "it is empty", "export")),
    "a wav named .mid": (
        alone("a.mid", b"RIFF\x24\x00\x00\x00WAVEfmt "),
        [],
        ("a.mid must be a midi file", "does not begin with mthd", "export"),
    ),
    "text named .midi": (alone("a.midi", "la"), [], ("a.midi must be a midi", "mthd", "export")),
    "cut off in a track": (alone("a.mid", WHOLE[:-40]), [], ("a.mid", "ends before its track", "export")),
    "cut off in the header": (alone("a.mid", WHOLE[:9]), [], ("a.mid", "header is damaged", "export")),
    "tracks that lack": (alone("a.mid", WHOLE[:14]), [], ("a.mid", "ends before", "export")),
    "no ticks per beat": (
        alone("a.mid", WHOLE[:12] + b"\0\0" + WHOLE[14:]),
        [],
        ("a.mid", "ticks per beat", "export"),
    ),
    "times in frames of film": (
        alone("a.mid", WHOLE[:12] + b"\xe7\x28" + WHOLE[14:]),
        [],
        ("a.mid", "ticks per beat", "export"),
    ),
    "a tempo of 0": (
        alone("a.mid", WHOLE.replace(TEMPO, b"\xff\x51\x03\0\0\0")),
        [],
        ("a.mid", "sets a tempo of 0", "export"),
    ),
    "unknown events": (
        alone("a.mid", WHOLE.replace(TEMPO, b"\xf4\x51\x03" + TEMPO[3:])),
        [],
        ("a.mid", "event of unknown type", "export"),
    ),
    "no notes": (alone("a.mid", midi(silence)), [], ("music must have notes", "a.mid has none", "leave")),
    "times without end": (
        alone("a.mid", midi(endless)),
        [],
        ("at most 20,000 beats", "a.mid has 30,001", ""),
    ),
    "drums alone, as a roll": (
        alone("a.mid", midi(drums)),
        [],
        ("keys of a piano", "has none, only drums", "--model events"),
    ),
    "notes beyond the piano": (
        alone("a.mid", midi(far)),
        [],
        ("keys of a piano", "has none.", "octaves"),
    ),
    "a bad one among good ones": (
        among("05x.mid", b"MThd"),
        [],
        ("05x.mid must be a midi file", "header", "export"),
    ),
    "two bad ones": (
        lambda f: among("a.mid", b"")(alone("b.mid", b"x")(f).parent),
        [],
        ("a.mid must be a midi file", "empty", "export"),
    ),
    "abc without a tune": (alone("a.abc", "la la la\n"), [], ("hold abc tunes", "begins with x:", "correct")),
    "abc without a key": (alone("a.abc", "X:1\nT:a\nabc|\n"), [], ("an abc tune", "abc2midi", "correct")),
    "abc without notes": (alone("a.abc", "X:1\nK:C\n\n"), [], ("music must have notes", "a.abc", "leave")),
    "abc that is binary": (alone("a.abc", b"X:1\n\0\xff\0"), [], ("hold abc tunes", "x:", "correct")),
    "pieces without a note": (
        alone("a.json", "[" + ", ".join(["[[], [], []]"] * 10) + "]"),
        [],
        ("must have notes of a pitch", "a.json", "give pieces"),
    ),
    "drums alone, as events": (
        many(drums),
        ["--model", "events"],
        ("must have notes of a pitch", "midi have none", "give pieces"),
    ),
    "steps of a beat without end": (
        lambda f: folder_of(f / "midi"),
        ["--steps-per-beat", "100000"],
        ("--steps-per-beat must be at most", "100000", "give"),
    ),
    "one piece for three splits": (
        alone("a.mid", WHOLE),
        [],
        ("each split must have at least 1 piece", "has 1 for 3 splits", "more"),
    ),
    "one piece of events": (
        alone("a.mid", WHOLE),
        ["--model", "events"],
        ("each split must have at least 1 piece", "has 1 for 3 splits", "more"),
    ),
    "steps longer than the pieces": (
        lambda f: folder_of(f / "midi"),
        ["--model", "events", "--steps", "100000"],
        ("twice as long as --steps", "100000", "lower --steps"),
    ),
    "no steps in a beat": (
        lambda f: folder_of(f / "midi"),
        ["--steps-per-beat", "0"],
        ("--steps-per-beat must be at least 1", "it was 0", "give"),
    ),
    "transposed too far": (
        lambda f: folder_of(f / "midi"),
        ["--transpose", "13"],
        ("--transpose must be in 0 ... 12", "13", "give"),
    ),
    "chords of events": (
        lambda f: folder_of(f / "midi"),
        ["--model", "events", "--chord-size", "64"],
        ("--chord-size must be used with --model roll", "--model events", "leave it out"),
    ),
    "keys of events": (
        lambda f: folder_of(f / "midi"),
        ["--model", "events", "--output", "independent"],
        ("--output must be used with --model roll", "--model events", "leave it out"),
    ),
    "tokens of a roll": (
        lambda f: folder_of(f / "midi"),
        ["--embedding-size", "64"],
        ("--embedding-size must be used with --model events", "--model roll", "leave it out"),
    ),
    "no numbers for a token": (
        lambda f: folder_of(f / "midi"),
        ["--model", "events", "--embedding-size", "0"],
        ("--embedding-size must be at least 1", "0", "give"),
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_a_mistake_in_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, flags, expected = DATA[name]
    monkeypatch.chdir(tmp_path)
    data = make(tmp_path)
    refused(capsys, ["train", "music", data, *FLAGS, *flags, "--out", tmp_path / "run"], expected)
    assert not (tmp_path / "run").exists()


# -- composition -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home")
    folder = folder_of(root / "midi")
    trained(folder, root / "roll")
    trained(folder, root / "events", model="events")
    save_midi(root / "melody.mid", melody())
    save_midi(root / "chords.mid", piece(1))
    save_midi(root / "fast.mid", ScoreMeta(5000).apply_to(melody()))
    save_midi(root / "five.mid", ScoreMeta(100, None, (5, 4)).apply_to(melody()))
    (root / "folder.png").mkdir()
    (root / "empty.mid").write_bytes(midi(silence))
    (root / "damaged.mid").write_bytes(WHOLE[:200])
    (root / "rubbish.sf2").write_bytes(b"RIFF\x00\x00\x00\x00sfba rubbish")
    (root / "cut.sf2").write_bytes(b"RIFF\xff\xff\x00\x00sfbk rubbish")
    late = melody()
    late.tracks[0].notes.clear()
    late.tracks[0].notes.append(symusic.Note(480 * 40, 480, 60, 80))
    save_midi(root / "late.mid", ScoreMeta().apply_to(late))
    return root


REQUESTS: dict[str, tuple[list[str], Expected]] = {
    "no bars": (["roll", "--bars", "0"], ("--bars must be at least 1", "0", "give")),
    "bars without end": (["roll", "--bars", "1000000"], ("--bars must be at most", "1000000", "give")),
    "no seconds": (["roll", "--seconds", "0"], ("--seconds must be above 0", "0", "give")),
    "seconds below 0": (["roll", "--seconds", "-3"], ("--seconds must be above 0", "-3", "give")),
    "bars and seconds": (
        ["roll", "--bars", "4", "--seconds", "4"],
        ("must have one length", "--bars and --seconds", "leave one"),
    ),
    "colder than cold": (["roll", "--temperature", "-1"], ("--temperature must be at least 0", "-1", "give")),
    "a share above 1": (["events", "--top-p", "1.5"], ("--top-p must be in (0, 1]", "1.5", "give")),
    "a share of a roll": (
        ["roll", "--top-p", "0.9"],
        ("--top-p must be used with a model of events", "rolls", "leave it out"),
    ),
    "no key": (["roll", "--key", "H dur"], ("--key must be a letter", "h dur", "d minor")),
    "too slow": (["roll", "--tempo", "0"], ("--tempo must be in 10", "0", "give")),
    "a seed below 0": (["roll", "--seed", "-1"], ("--seed must be at least 0", "-1", "give")),
    "no proposals": (["roll", "--proposals", "0"], ("--proposals must be at least 1", "0", "give")),
    "midi under another ending": (["roll", "--midi", "a.wav"], ("--midi must be a file", "a.wav", ".mid")),
    "a plot under another ending": (
        ["roll", "--plot", "a.jpg"],
        ("--plot must be a file", "a.jpg", ".png"),
    ),
    "sound under another ending": (["roll", "--wav", "a.mp3"], ("--wav must be a file", "a.mp3", ".wav")),
    "sound in no folder": (["roll", "--wav", "none/a.wav"], ("must exist", "none", "create it")),
    "midi in no folder": (["roll", "--midi", "none/a.mid"], ("must exist", "none", "create it")),
    "a soundfont without sound": (
        ["roll", "--soundfont", "rubbish.sf2"],
        ("--soundfont must be used with --wav", "not given", "give --wav"),
    ),
    "an invalid soundfont": (
        ["roll", "--wav", "a.wav", "--soundfont", "rubbish.sf2"],
        ("an sf2 file", "rubbish.sf2 is not", "another"),
    ),
    "a soundfont that is cut off": (
        ["roll", "--wav", "a.wav", "--soundfont", "cut.sf2"],
        ("an sf2 file", "cut.sf2 is cut off", "another"),
    ),
    "a missing soundfont": (
        ["roll", "--wav", "a.wav", "--soundfont", "no.sf2"],
        ("an sf2 file", "no.sf2 cannot be read", "check"),
    ),
    "a missing primer": (
        ["roll", "no.mid"],
        ("file or folder must exist", "there is no no.mid", "path"),
    ),
    "a primer that is damaged": (["events", "damaged.mid"], ("damaged.mid must be", "ends", "export")),
    "a primer without notes": (["events", "empty.mid"], ("music must have notes", "empty.mid", "leave")),
    "a primer that is a folder": (["roll", "midi"], ("must be a single file", "is a folder", "give")),
    "a primer that begins late": (
        ["roll", "late.mid", "--primer-bars", "2"],
        ("a primer must have notes", "late.mid have none", "more --primer-bars"),
    ),
    "bars of no primer": (
        ["roll", "--primer-bars", "2"],
        ("must be used with a primer", "none", "give a midi file"),
    ),
    "a melody for events": (
        ["events", "--harmonize", "melody.mid"],
        ("by a model of piano rolls", "events", "--model roll"),
    ),
    "a melody of chords": (
        ["roll", "--harmonize", "chords.mid"],
        ("must have one note at a time", "chords.mid has 2 at once, first at beat 0", "before the next"),
    ),
    "a missing melody": (
        ["roll", "--harmonize", "no.mid"],
        ("file or folder", "no.mid", "path"),
    ),
    "a melody with a length": (
        ["roll", "--harmonize", "melody.mid", "--bars", "4"],
        ("without a length", "--bars", "leave"),
    ),
    "a melody and a primer": (
        ["roll", "chords.mid", "--harmonize", "melody.mid"],
        ("a primer or harmonize", "were given", "leave one"),
    ),
    "midi in the place of the primer": (
        ["roll", "chords.mid", "--midi", "chords.mid"],
        ("overwrite its data", "chords.mid", "another name"),
    ),
    "midi and the result in one file": (
        ["roll", "--midi", "x.mid", "--out", "x.mid"],
        ("its own file", "--midi and --out are both x.mid", "another name"),
    ),
    "the result in no folder": (
        ["roll", "--out", "none/x.json"],
        ("the folder for --out", "there is no none", "create it"),
    ),
    "a plot in the place of a folder": (
        ["roll", "--plot", "folder.png"],
        ("--plot must be a file", "folder.png is a folder", "the name of a file"),
    ),
    "a melody of tokens": (
        ["roll", "--harmonize", "melody.mid", "--top-p", "0.9"],
        ("without a length, a primer", "--top-p was given", "leave it out"),
    ),
    "a melody with bars of a primer": (
        ["roll", "--harmonize", "melody.mid", "--primer-bars", "1"],
        ("without a length, a primer", "--primer-bars was given", "leave it out"),
    ),
    "proposals of no melody": (
        ["roll", "--proposals", "3"],
        ("used with a melody", "none", "--harmonize"),
    ),
    "proposals without end": (
        ["roll", "--harmonize", "melody.mid", "--proposals", "1000000"],
        ("--proposals must be at most", "1000000", "give"),
    ),
    "a seed without end": (
        ["roll", "--seed", "99999999999999999999"],
        ("--seed must be at most", "99999999999999999999", "give"),
    ),
    "hotter than hot": (
        ["roll", "--temperature", "1e300"],
        ("--temperature must be at most", "e+300", "give"),
    ),
    "more bars than the primer has": (
        ["roll", "chords.mid", "--primer-bars", "9"],
        ("at most the bars of the primer", "chords.mid has 4, not 9", "fewer"),
    ),
    "a primer too fast": (
        ["roll", "fast.mid"],
        ("a tempo must be from 10 to 400", "fast.mid has 5000", "--tempo"),
    ),
    "a primer in bars that the training pieces do not have": (
        ["events", "five.mid"],
        ("time signature of a primer must", "that of five.mid is 5/4; theirs are 4/4", "another primer"),
    ),
    "midi in the place of the melody": (
        ["roll", "--harmonize", "melody.mid", "--midi", "melody.mid"],
        ("overwrite its data", "melody.mid", "another name"),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_mistake_in_composing(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, expected = REQUESTS[name]
    monkeypatch.chdir(home)
    before = {path: path.read_bytes() for path in home.glob("*.*") if path.is_file()}
    refused(capsys, ["predict", *flags], expected)
    assert {path: path.read_bytes() for path in home.glob("*.*") if path.is_file()} == before

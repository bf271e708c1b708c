"""Utterances from manifests, from folders like LibriSpeech's, and from sounds without transcripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.data.audio.sound_files import SOUND_SUFFIXES
from holdfast.data.tabular.records import READERS, Records, read_records
from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError
from holdfast.files import missing_file

FEATURES = ".npy"
"""Ending of files of precomputed features [T, F]."""
_TRANSCRIPTS = "*.trans.txt"
"""Transcript files of a folder like LibriSpeech's: each line holds an utterance's name and text."""
NAMES = ("path", "paths")
"""Default columns for the paths."""


@dataclass(frozen=True)
class Utterance:
    """An utterance.

    Attributes:
        name: its files as the manifest names them, or its name in a folder.
        paths: its files in order: all sounds, or all precomputed features.
        text: the transcript, with single spaces between words; empty if none was requested.
        speaker: the speaker, if known.
    """

    name: str
    paths: tuple[Path, ...]
    text: str = ""
    speaker: str | None = None

    @property
    def ready(self) -> bool:
        """Whether its files hold precomputed features instead of sound."""
        return self.paths[0].suffix.lower() == FEATURES


@dataclass(frozen=True)
class ManifestFields:
    """The columns of a manifest.

    Attributes:
        path: column of the paths, relative to the manifest's folder; None: ``path`` or ``paths``.
        text: column of the transcripts; None: ``text``.
        speaker: column of the speakers; None: ``speaker``, if there is such a column.
    """

    path: str | None = None
    text: str | None = None
    speaker: str | None = None


_DEFAULT = ManifestFields()


def read_utterances(
    path: Path, fields: ManifestFields = _DEFAULT, encoding: str = "utf-8", *, transcribed: bool = True
) -> list[Utterance]:
    """Read a manifest (.tsv, .csv, .jsonl, .parquet), or a folder with ``*.trans.txt`` files.

    Several paths in one cell, separated by spaces (or as a list), are joined in order; an existing
    path that contains the space is that one file.

    Args:
        path: the manifest or the folder.
        fields: the manifest's columns.
        encoding: encoding of the manifest or the transcripts.
        transcribed: whether each utterance must have a transcript. If not, ``path`` may also be a
            file of sound or of features, or a folder of such files.

    Raises:
        UserError: there are no utterances, a column or a file is missing, a transcript is empty, or
            sounds and features are mixed (the error names the line).

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("a.wav", "b.wav"):
        ...     (folder / name).touch()
        >>> _ = (folder / "all.tsv").write_text("path\\ttext\\tspeaker\\na.wav b.wav\\tone  two\\tjo\\n")
        >>> [one] = read_utterances(folder / "all.tsv")
        >>> one.name, [p.name for p in one.paths], one.text, one.speaker
        ('a.wav b.wav', ['a.wav', 'b.wav'], 'one two', 'jo')
    """
    path = Path(path)
    if path.is_dir():
        found = _tree(path, encoding, transcribed)
    elif not transcribed and path.suffix.lower() not in READERS:
        found = [Utterance(path.name, (_there(path),))]
    else:
        found = _manifest(path, fields, encoding, transcribed)
    _check_kinds(path, found)
    return found


def _there(path: Path) -> Path:
    if not path.exists():
        raise missing_file(path, "sound file")
    return path


def _check_kinds(path: Path, found: Sequence[Utterance]) -> None:
    """Check that all files are sounds or all are features."""
    kinds = {one.ready: one for one in found}
    if len(kinds) == 2:
        raise UserError(
            f"The files of {path} must be all sounds or all features ({FEATURES}).",
            f"{kinds[True].name} holds features and {kinds[False].name} holds sound.",
            "Write two manifests.",
        )


# -- manifests ---------------------------------------------------------------------------------------------------


def _manifest(path: Path, fields: ManifestFields, encoding: str, transcribed: bool) -> list[Utterance]:
    if path.suffix.lower() not in READERS:
        raise UserError(
            "Utterances must be in a manifest (.tsv, .csv, .jsonl, .parquet) or in a folder like LibriSpeech's.",
            f"{path} has the ending {path.suffix or '(none)'}.",
            "Give a manifest with the columns path and text.",
        )
    records = read_records(path, encoding)
    files = [_files(path, *row) for row in zip(records.places, _paths(records, fields.path), strict=True)]
    text = fields.text or "text"
    texts = _texts(records, text) if transcribed else _spoken(records, text)
    speakers = _speakers(records, fields.speaker)
    return [Utterance(*row) for row in zip(*zip(*files, strict=True), texts, speakers, strict=True)]


def _paths(records: Records, name: str | None) -> Sequence[object]:
    known = next((name for name in NAMES if name in records.columns), NAMES[0])
    return records.column(name or known, "path-field")


def _files(manifest: Path, place: str, value: object) -> tuple[str, tuple[Path, ...]]:
    """Return the name and the files of a row."""
    names = _names(manifest, place, value)
    if len(names) == 1 and not (manifest.parent / names[0]).exists():
        names = names[0].split()
    files = tuple(manifest.parent / name for name in names)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise UserError(
            f"The files that {manifest} names must exist; paths are relative to its folder.",
            f"{place} names {missing}, which {'is a folder' if missing.is_dir() else 'does not exist'}.",
            "Correct or remove that line.",
        )
    if len({file.suffix.lower() == FEATURES for file in files}) == 2:
        raise UserError(
            "The files of an utterance must be all sounds or all features (.npy).",
            f"{place} of {manifest} has both: {' '.join(names)}.",
            "Correct or remove that line.",
        )
    return " ".join(names), files


def _names(manifest: Path, place: str, value: Any) -> list[str]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise UserError(
            "Each row of a manifest must name a file.",
            f"{place} of {manifest} has {value!r}.",
            "Fill in the path, or remove that line.",
        )
    return [name.strip() for name in names]


def _texts(records: Records, name: str) -> list[str]:
    texts = [_text(value) for value in records.column(name, "text-field")]
    for place, text in zip(records.places, texts, strict=True):
        if not text:
            raise UserError(
                "Each utterance must have a transcript.",
                f"{place} of {records.path} has none.",
                "Write the transcript, or remove that line.",
            )
    return texts


def _spoken(records: Records, name: str) -> list[str]:
    """Return the transcripts, empty where there are none."""
    return [_text(value) for value in records.columns.get(name, [None] * len(records))]


def _text(value: Any) -> str:
    return " ".join(str(value).split()) if value is not None else ""


def _speakers(records: Records, name: str | None) -> list[str | None]:
    if name is None and "speaker" not in records.columns:
        return [None] * len(records)
    return [_text(value) or None for value in records.column(name or "speaker", "speaker-field")]


# -- folders -----------------------------------------------------------------------------------------------------


def _tree(folder: Path, encoding: str, transcribed: bool) -> list[Utterance]:
    lists = sorted(folder.rglob(_TRANSCRIPTS))
    if not lists and not transcribed:
        return _sounds(folder)
    found = [one for path in lists for one in _transcripts(path, encoding)]
    if not found:
        manifests = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in READERS)
        raise UserError(
            f"A folder of transcribed speech must have files {_TRANSCRIPTS} with lines NAME TEXT, like LibriSpeech's.",
            f"{folder} has {'only empty ones' if lists else 'none'}.",
            f"Name a manifest in it, such as {manifests[0]}."
            if manifests
            else "Give a manifest with the columns path and text.",
        )
    return found


def _transcripts(path: Path, encoding: str) -> Iterator[Utterance]:
    lines = "".join(TextFiles.of(path, encoding).chunks()).split("\n")
    for number, line in enumerate(lines, 1):
        name, *words = line.split() or [""]
        if not name:
            continue
        sound = next((p for p in (path.with_name(name + end) for end in SOUND_SUFFIXES) if p.is_file()), None)
        if sound is None or not words:
            raise UserError(
                f"Each line of {path.name} must have the name of a sound in the same folder, and its text.",
                f"Line {number} of {path}: {f'there is no {name}.flac or .wav' if words else f'{name} has no text'}.",
                "Correct or remove that line.",
            )
        yield Utterance(name, (sound,), " ".join(words), name.split("-")[0] if "-" in name else None)


def _sounds(folder: Path) -> list[Utterance]:
    files = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in (*SOUND_SUFFIXES, FEATURES) and p.is_file()
    )
    if not files:
        raise UserError(
            f"A folder of speech must hold sounds ({', '.join(SOUND_SUFFIXES[:3])} ...) or features ({FEATURES}).",
            f"{folder} holds none.",
            "Give another folder, or a file.",
        )
    return [Utterance(str(path.relative_to(folder)), (path,)) for path in files]

"""Manifests and folder trees of transcribed speech, and errors with their line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from holdfast.data.audio.manifest import ManifestFields, read_utterances
from holdfast.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "two words.wav", "deep/c.flac", "f.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def manifest(folder: Path, text: str, name: str = "all.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def names(path: Path) -> list[list[str]]:
    return [[p.name for p in one.paths] for one in read_utterances(path)]


def test_a_path_several_paths_or_one_with_a_space(folder: Path) -> None:
    path = manifest(
        folder,
        "path\ttext\na.wav\tx\na.wav  deep/c.flac b.wav\tx\ntwo words.wav\tx\n" + f"{folder}/a.wav\tx\n",
    )
    assert names(path) == [["a.wav"], ["a.wav", "c.flac", "b.wav"], ["two words.wav"], ["a.wav"]]
    assert read_utterances(path)[1].name == "a.wav deep/c.flac b.wav"


def test_every_form_of_a_manifest_is_read_alike(folder: Path) -> None:
    rows = [("a.wav b.wav", "one two", "jo"), ("deep/c.flac", "three", "al")]
    tsv = "paths\ttext\tspeaker\n" + "".join("\t".join(row) + "\n" for row in rows)
    lists = [{"path": row[0].split(), "text": row[1], "speaker": row[2]} for row in rows]
    found = [
        read_utterances(manifest(folder, tsv)),
        read_utterances(manifest(folder, tsv.replace("\t", ","), "all.csv")),
        read_utterances(manifest(folder, "".join(json.dumps(one) + "\n" for one in lists), "all.jsonl")),
    ]
    pl.DataFrame(lists).write_parquet(folder / "all.parquet")
    found.append(read_utterances(folder / "all.parquet"))
    assert all(one == found[0] for one in found)
    assert [(one.text, one.speaker, one.ready) for one in found[0]] == [
        ("one two", "jo", False),
        ("three", "al", False),
    ]


def test_columns_may_have_other_names_and_texts_may_have_spaces(folder: Path) -> None:
    path = manifest(folder, "who\tfile\tsaid\njo\ta.wav\t so  it \n\tb.wav\tis\n")
    found = read_utterances(path, ManifestFields("file", "said", "who"))
    assert [(one.text, one.speaker) for one in found] == [("so it", "jo"), ("is", None)]
    assert [one.speaker for one in read_utterances(path, ManifestFields("file", "said"))] == [None, None]


def test_another_encoding(folder: Path) -> None:
    (folder / "all.csv").write_bytes("path,text\na.wav,été\n".encode("latin-1"))
    assert read_utterances(folder / "all.csv", encoding="latin-1")[0].text == "été"
    with pytest.raises(UserError, match=r"must be utf-8.*Line 2"):
        read_utterances(folder / "all.csv")


def test_a_folder_tree_like_librispeech(tmp_path: Path) -> None:
    for name in ("84/1/84-1-0000.flac", "84/1/84-1-0001.wav", "26/4/26-4-0000.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "84/1/84-1.trans.txt").write_text("84-1-0000 GO DO\n\n84-1-0001 YOU  HEAR\n")
    (tmp_path / "26/4/26-4.trans.txt").write_text("26-4-0000 NO")
    found = [(one.name, one.text, one.speaker) for one in read_utterances(tmp_path)]
    assert found == [
        ("26-4-0000", "NO", "26"),
        ("84-1-0000", "GO DO", "84"),
        ("84-1-0001", "YOU HEAR", "84"),
    ]
    (tmp_path / "84/1/84-1-0001.wav").unlink()
    with pytest.raises(UserError, match=r"Line 3 of .*84-1.trans.txt: there is no 84-1-0001.flac"):
        read_utterances(tmp_path)


def test_sounds_without_transcripts(folder: Path) -> None:
    (folder / "f.npy").unlink()
    found = read_utterances(folder, transcribed=False)
    assert [one.name for one in found] == ["a.wav", "b.wav", "deep/c.flac", "two words.wav"]
    [one] = read_utterances(folder / "a.wav", transcribed=False)
    assert (one.name, one.paths, one.text) == ("a.wav", (folder / "a.wav",), "")
    listed = read_utterances(manifest(folder, "path\na.wav\nb.wav\n"), transcribed=False)
    assert [one.name for one in listed] == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"empty \(0 bytes\)"),
        ("path\ttext\n", "It has no rows"),
        (
            "file\ttext\na.wav\tx\n",
            r"--path-field must name a column .*'path' is not one of them: file, text",
        ),
        ("path\ttxt\na.wav\tx\n", r"'text' is not one of them: path, txt\. Did you mean 'txt'"),
        ("path\ttext\na.wav\tx\nc.wav\ty\nb.wav\tz\n", "Line 3 names .*c.wav, which does not exist"),
        ("path\ttext\na.wav\tx\na.wav c.wav\ty\n", "Line 3 names .*c.wav, which does not exist"),
        ("path\ttext\ndeep\tx\n", "Line 2 names .*deep, which is a folder"),
        ("path\ttext\n\tx\n", "Each row .* must name a file. Line 2 .* has ''"),
        ("path\ttext\na.wav\tx\nb.wav\t  \n", "must have a transcript. Line 3 of .* has none"),
        ("path\ttext\na.wav f.npy\tx\n", "Line 2 of .* has both: a.wav f.npy"),
        ("path\ttext\na.wav\tx\nf.npy\ty\n", "f.npy holds features and a.wav holds sound"),
        ("path\ttext\na.wav\tx\ty\n", r"as many fields as the header \(2\)\. Line 2 has 3"),
    ],
)
def test_a_manifest_with_a_mistake_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_utterances(manifest(folder, text))


def test_a_named_speaker_field_must_exist(folder: Path) -> None:
    path = manifest(folder, "path\ttext\na.wav\tx\n")
    with pytest.raises(UserError, match="--speaker-field must name a column"):
        read_utterances(path, ManifestFields(speaker="who"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.tsv", "There is no .*missing.tsv"),
        ("a.wav", r"must be in a manifest .* ending \.wav"),
        (".", "has none. Name a manifest in it, such as all.tsv"),
        ("deep", "has none. Give a manifest"),
    ],
)
def test_files_without_transcripts_are_refused(folder: Path, name: str, message: str) -> None:
    manifest(folder, "path\ttext\na.wav\tx\n")
    with pytest.raises(UserError, match=message):
        read_utterances(folder / name)


@pytest.mark.parametrize(("name", "message"), [("missing.wav", "There is no"), ("none", "holds none")])
def test_paths_without_audio_are_refused(folder: Path, name: str, message: str) -> None:
    (folder / "none").mkdir()
    with pytest.raises(UserError, match=message):
        read_utterances(folder / name, transcribed=False)


@pytest.mark.parametrize(
    ("name", "count"), [("fsdd/connected_test.tsv", 500), ("an4/train.tsv", 948), ("yesno/test.tsv", 20)]
)
def test_public_manifests(shared_data: object, name: str, count: int) -> None:
    found = read_utterances(shared_data(name))  # type: ignore[operator]
    assert len(found) == count and all(one.text for one in found)

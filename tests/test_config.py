"""config.py and files.py: refusals, round trips, and atomic writes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import files
from holdfast.config import (
    FORMAT,
    Training,
    build_config,
    from_dict,
    load_config,
    parse_duration,
    read_config,
    save_config,
)
from holdfast.errors import UserError
from holdfast.files import load_json, new_folder, write_atomic


@dataclass(kw_only=True)
class Inner:
    units: int = 3
    rates: tuple[float, ...] = (0.1, 0.9)
    pair: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        if self.units < 1:
            raise UserError("units is at least 1.", f"It was {self.units}.", "Give 1.")


@dataclass(kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    other: Inner | None = None
    training: Training = field(default_factory=Training)
    kind: Literal["a", "b"] = "a"
    where: Path | None = None
    seasons: tuple[str, ...] = ()
    given: dict[str, int] = field(default_factory=dict)


def test_training_has_the_documented_defaults() -> None:
    training = Training()
    assert (training.epochs, training.batch_size, training.learning_rate, training.patience) == (
        50,
        64,
        1e-3,
        8,
    )
    assert (training.schedule, training.clip, training.weight_decay) == ("cosine", 1.0, 0.0)
    assert (training.seed, training.budget, training.device) == (0, None, "auto")
    assert training.budget_seconds() == float("inf")
    assert Training(budget="10m").budget_seconds() == 600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("batch_size", -1),
        ("patience", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "fast"),
        ("weight_decay", -0.1),
        ("clip", -1.0),
        ("clip", float("nan")),
        ("schedule", "linear"),
        ("device", "gpu"),
        ("device", "cuda:x"),
    ],
)
def test_training_refuses_and_names_the_field(name: str, value: Any) -> None:
    with pytest.raises(UserError, match="--" + name.replace("_", "-")):
        Training(**{name: value})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("2h30m", 9000),
        ("1h1m1s", 3661),
        ("1.5h", 5400),
        ("0.5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "90", "s", "10 m", "30m2h", "-1s", "1d", "1h1h", "ten", "1.s", "infs"]
)
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="duration"):
        parse_duration(text)
    with pytest.raises(UserError, match="duration"):
        Training(budget=text)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    if total:
        assert parse_duration(f"{hours}h{minutes}m{seconds}s") == total


finite = st.floats(allow_nan=False, allow_infinity=False)
inners = st.builds(
    Inner,
    units=st.integers(1, 10**9),
    rates=st.lists(finite, max_size=4).map(tuple),
    pair=st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
)
trainings = st.builds(
    Training,
    epochs=st.integers(1, 1000),
    learning_rate=st.floats(1e-300, 1e300),
    seed=st.integers(0, 2**32 - 1),
    budget=st.sampled_from([None, "90s", "1h"]),
)
outers = st.builds(
    Outer,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    inner=inners,
    other=st.none() | inners,
    training=trainings,
    kind=st.sampled_from(["a", "b"]),
    where=st.sampled_from([None, Path("a/b.csv")]),
    seasons=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3).map(tuple),
    given=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-9, 9), max_size=3),
)


@given(config=outers)
def test_any_config_survives_the_file(config: Outer, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "config.toml"
    save_config(path, "sorting", config)
    assert load_config(path, Outer) == config
    assert read_config(path)[0] == "sorting"


def test_the_file_is_plain(tmp_path: Path) -> None:
    save_config(tmp_path / "c.toml", "sorting", Outer(name="x", inner=Inner(rates=(1.0, 2.0))))
    text = (tmp_path / "c.toml").read_text(encoding="utf-8")
    assert text.startswith(f'format = {FORMAT}\ntask = "sorting"\nname = "x"\n')
    assert "[inner]" in text and "[training]" in text
    assert "budget" not in text and "other" not in text  # None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 1\ntask = 't'\nnmae = 'x'", "'nmae'.*Did you mean 'name'"),
        ("task = 't'\nname = 'x'\n[inner]\nunitz = 3", r"'inner\.unitz'.*Did you mean 'units'"),
        ("task = 't'\nname = 'x'\n[other]\nzz = 3", r"'other\.zz'"),
        ("task = 't'\nname = 3", "name must be valid: .*string"),
        ("task = 't'\nname = 'x'\n[inner]\nunits = '3'", r"inner\.units must be valid: .*integer.*'3'"),
        ("task = 't'\nname = 'x'\n[inner]\nunits = true", r"inner\.units"),
        ("task = 't'\nname = 'x'\n[inner]\nunits = 0", r"units is at least 1.*c\.toml"),
        ("task = 't'\nname = 'x'\n[inner]\npair = [1, 2, 3]", r"inner\.pair"),
        ("task = 't'\nname = 'x'\ninner = 3", "inner must be valid: "),
        ("task = 't'\nname = 'x'\nkind = 'c'", r"kind must be one of a, b\..*it is 'c'"),
        ("task = 't'\nname = 'x'\n[training]\nbudget = 'soon'", "duration"),
        ("task = 't'", "name.*missing"),
        ("name = 'x'", "task"),
        ("format = 2\ntask = 't'\nname = 'x'", "newer Holdfast.*[Uu]pgrade"),
        ("format = 'one'\ntask = 't'\nname = 'x'", "format"),
        ("name = ", "TOML"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"(?s){message}"):
        load_config(path, Outer)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        load_config(tmp_path / "absent.toml", Outer)
    with pytest.raises(UserError, match="readable"):
        load_config(tmp_path, Outer)
    (tmp_path / "latin.toml").write_bytes(b"task = '\xe9'")
    with pytest.raises(UserError, match="TOML"):
        load_config(tmp_path / "latin.toml", Outer)


def test_from_dict_leaves_its_argument_alone() -> None:
    values = {"task": "t", "name": "x", "inner": {"rates": [1.0]}}
    assert from_dict(Outer, values, "a test") == Outer(name="x", inner=Inner(rates=(1.0,)))
    assert values == {"task": "t", "name": "x", "inner": {"rates": [1.0]}}


def test_a_class_that_toml_cannot_hold_is_a_programming_error(tmp_path: Path) -> None:
    @dataclass(kw_only=True)
    class Lossy:
        clip: float | None = 1.0

    save_config(tmp_path / "c.toml", "t", Lossy(clip=2.0))
    with pytest.raises(ValueError, match="round trip"):
        save_config(tmp_path / "c.toml", "t", Lossy(clip=None))


def test_importing_config_does_not_import_torch() -> None:
    code = "import sys, holdfast.config; assert not {'torch', 'pydantic', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_docstring_describes_every_field() -> None:
    text = Training.__doc__ or ""
    assert [name for name in Training.__dataclass_fields__ if f"        {name}: " not in text] == []


# -- files -----------------------------------------------------------------------------------------


def test_write_atomic_replaces(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "één\n")
    assert (tmp_path / "a").read_bytes() == "één\n".encode()
    write_atomic(tmp_path / "a", b"\x00\x01")
    assert (tmp_path / "a").read_bytes() == b"\x00\x01"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_atomic(tmp_path / "a", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((files.os, "fsync", full) if call == "fsync" else (Path, "replace", full)))
    with pytest.raises(UserError, match=r"a must be writable.*No space left"):
        write_atomic(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_write_atomic_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="writable"):
        write_atomic(tmp_path / "no" / "a", "x")


def test_new_folder(tmp_path: Path) -> None:
    path = new_folder(tmp_path / "runs" / "one")
    assert path.is_dir()
    assert new_folder(path) == path  # empty
    (path / "notes.txt").write_text("mine")
    (path / "config.toml").write_text('title = "a site of mine"')
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"config\.toml, notes\.txt.*another folder with --out\.$"):
            new_folder(path, overwrite=overwrite)
    (path / "config.toml").write_text('format = 1\ntask = "forecast"')
    for old in ("logs", "plots"):
        (path / old).mkdir()
        (path / old / "file").write_text("old")
    (path / "state.safetensors").write_text("old")
    with pytest.raises(UserError, match=r"config\.toml, logs, notes\.txt.*--resume, or .*--overwrite"):
        new_folder(path)
    assert len(list(path.iterdir())) == 5
    new_folder(path, resume=True)
    assert len(list(path.iterdir())) == 5
    new_folder(path, overwrite=True)
    assert [p.name for p in path.iterdir()] == ["notes.txt"]


def test_new_folder_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="output folder"):
            new_folder(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_new_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission"):
        new_folder(tmp_path / "x")
    tmp_path.chmod(0o700)


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(UserError, match="epochs"):
        replace(Training(), epochs=0)


# -- flat fields -----------------------------------------------------------------------------------


def test_build_config_assigns_each_field_to_its_section() -> None:
    config = build_config(Outer, {"name": "x", "seasons": "winter", "epochs": 3, "units": 7, "budget": "1h"})
    expected = Outer(
        name="x", seasons=("winter",), inner=Inner(units=7), training=Training(epochs=3, budget="1h")
    )
    assert config == expected


def test_build_config_takes_whole_sections() -> None:
    config = build_config(
        Outer, {"name": "x", "seed": 4, "training": Training(epochs=3), "inner": {"units": 2}}
    )
    assert config == Outer(name="x", training=Training(epochs=3, seed=4), inner=Inner(units=2))
    assert build_config(Outer, {"name": "x", "where": Path("a.csv"), "other": None}).where == Path("a.csv")


def test_build_config_refuses() -> None:
    with pytest.raises(UserError, match=r"'epoch'.*Did you mean 'epochs'"):
        build_config(Outer, {"name": "x", "epoch": 3})
    with pytest.raises(UserError, match=r"training\.epochs.*'many'"):
        build_config(Outer, {"name": "x", "epochs": "many"})
    with pytest.raises(UserError, match="epochs"):
        build_config(Outer, {"name": "x", "epochs": 0})


def test_load_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"x": 1}')
    assert load_json(tmp_path / "a.json") == {"x": 1}
    for text, message in (("[1]", "object"), ("{", "JSON file")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UserError, match=message):
            load_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="readable"):
        load_json(tmp_path / "b.json")

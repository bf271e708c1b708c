"""An inspection in the terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from holdfast.insight.analysis.results import Inspection, Steps
from holdfast.insight.render.label_text import lay_out, plain
from holdfast.insight.render.terminal import _MIN_WIDTH, Screen, terminal
from inspected import characters, hours, inspection, layer_trace

CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def bare(text: str) -> str:
    return CONTROL.sub("", text)


@settings(max_examples=20)
@given(
    width=st.integers(_MIN_WIDTH, 200),
    color=st.booleans(),
    blocks=st.booleans(),
    labels=st.lists(st.text(max_size=5), min_size=2, max_size=15),
    words=st.lists(st.text(max_size=100), max_size=2),
)
def test_no_line_is_wider_than_the_screen(
    width: int, color: bool, blocks: bool, labels: list[str], words: list[str]
) -> None:
    found = replace(inspection(Steps(labels), units=3, layers=1, lags=5), summary=words, notes=words)
    text = terminal(found, Screen(width, color, blocks))
    assert max(cell_len(line) for line in bare(text).split("\n")) <= width
    assert blocks or text.isascii()
    assert color or "\x1b" not in text


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("steps", [characters(300), hours(300)], ids=["characters", "hours"])
def test_it_fits_80_columns_and_reports_everything(cell: str, steps: Steps) -> None:
    found = inspection(steps, cell, units=40)
    text = terminal(found, Screen(80))
    assert max(map(cell_len, text.split("\n"))) <= 80
    assert text.index(found.summary[0]) < text.index(found.layers[0].name + f" ({cell.upper()}):")
    assert found.notes[0] in text
    for words in (
        "Memory",
        "Gradients through time",
        "Time steps that influenced the",
        "Ablation: loss without a component",
    ):
        assert words in text


def heat(text: str, unit: int) -> str:
    """Return the cells of a unit in the first heatmap."""
    return next(line for line in text.split("\n") if line.startswith(f"{unit} "))[6:]


def test_shades_and_colors_rise_with_the_value() -> None:
    steps = Steps(list("abcde"), "character")
    one = layer_trace("layer 1", "lstm", steps, 1)
    one.activations["forget"][:, 0] = [0, 0.3, 0.5, 0.7, 1]
    found = Inspection("one unit", steps, [one])
    assert heat(terminal(found, Screen(40)), 0) == " ░▒▓█"
    assert heat(terminal(found, Screen(40, blocks=False)), 0) == " -+#@"
    colored = heat(terminal(found, Screen(40, color=True)), 0)
    assert len(set(re.findall(r"48;5;(\d+)m", colored))) == 5
    assert bare(colored) == " " * 5


def test_a_unit_s_row_has_its_half_life_saturation_and_feature() -> None:
    found = inspection(characters(200), layers=1)
    unit, one = found.feature_units[0], found.layers[0]
    lines = [
        line for line in terminal(found, Screen(100)).split("\n") if line.rstrip().endswith(unit.feature)
    ]
    (row,) = (line.split() for line in lines if line.split()[0] == str(unit.unit))
    assert one.half_lives is not None
    assert float(row[1]) == pytest.approx(one.half_lives[unit.unit], rel=0.01)
    expected = [
        f"{left[unit.unit]:.0%}/{right[unit.unit]:.0%}" for left, right in map(one.saturation, one.gates)
    ]
    assert row[2:5] == expected


def test_a_sparkline_falls_by_decades() -> None:
    horizon = inspection().memory
    assert horizon is not None
    lags = np.arange(4)
    found = replace(inspection(), memory=replace(horizon, lags=lags, jacobian=10.0**-lags), gradients=())
    lines = terminal(found, Screen(80)).split("\n")
    assert lines[lines.index("Memory") + 1].rstrip() == "█▆▃▁"


class Stream(io.StringIO):
    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__()
        self.named, self.terminal = encoding, terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.named

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("environment", "encoding", "terminal", "expected"),
    [
        ({}, "utf-8", True, (True, True)),
        ({"NO_COLOR": "1"}, "utf-8", True, (False, True)),
        ({"NO_COLOR": ""}, "utf-8", True, (True, True)),
        ({"TERM": "dumb"}, "utf-8", True, (False, True)),
        ({}, "utf-8", False, (False, True)),
        ({}, "ascii", True, (True, False)),
        ({}, "latin-1", False, (False, False)),
    ],
)
def test_a_screen_uses_what_its_stream_can_show(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    encoding: str,
    terminal: bool,
    expected: tuple[bool, bool],
) -> None:
    monkeypatch.setenv("COLUMNS", "97")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    screen = Screen.of(Stream(encoding, terminal))
    assert (screen.width, screen.color, screen.blocks) == (97, *expected)


@given(labels=st.lists(st.text(max_size=12), min_size=1, max_size=60), width=st.integers(4, 30))
def test_a_formatted_text_overlaps_nowhere(labels: list[str], width: int) -> None:
    places = lay_out(labels, width)
    assert all(p.column >= 0 and p.column + p.width <= width for p in places)
    for one, other, label in zip(places, places[1:], labels):
        assert other.line > one.line or other.column >= one.column + one.width
        assert not label.endswith("\n") or other.line > one.line


@given(st.text())
def test_plain_text_is_ascii_and_no_longer(text: str) -> None:
    assert plain(text).isascii() and len(plain(text)) <= len(text)

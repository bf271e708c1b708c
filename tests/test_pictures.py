"""An inspection as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from holdfast.insight.inside.findings import Inspection, Steps
from holdfast.insight.views import charts, pictures
from holdfast.insight.views.colours import signed
from holdfast.insight.views.pictures import write_pictures
from inspected import characters, hours, inspection, part

ALL = {"gates", "gates-2", "saturation", "tracked", "memory", "gradients", "attribution", "ablation"}


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (inspection(characters(60), units=6), set()),
        (inspection(hours(50), "gru", units=6), set()),
        (inspection(hours(50, 20), "rnn", units=6), {"saturation"}),
        (
            Inspection("bare", characters(9), [part("layer 1", "rnn", characters(9), 3)]),
            ALL - {"gates"},
        ),
    ],
    ids=["characters", "two series", "a roll", "nothing but states"],
)
def test_there_is_a_picture_of_everything_that_was_found(
    found: Inspection, missing: set[str], tmp_path: Path
) -> None:
    paths = write_pictures(found, tmp_path / "new")
    assert {path.stem for path in paths} == ALL - missing
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert 600 <= image.width <= 2000, path.name
        assert pixels.min() < 80 and len(np.unique(pixels)) > 10, f"{path.name} is blank"


def axes_of(painter: pictures.Painter) -> list[str]:
    """The labels of all axes of a figure that is not saved."""
    size, paint = painter
    figure = Figure(figsize=size)
    paint(figure)
    return [text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel()) if text] + [
        text.get_text() for text in (figure._supxlabel, figure._supylabel) if text is not None
    ]


def test_axes_are_labelled_with_their_units() -> None:
    found = inspection()
    assert axes_of(pictures.memory(found)) == [
        "steps back",
        "influence (1 at its peak)",
        "share of the units",
        "half-life (steps)",
    ]
    assert axes_of(pictures.gradients(found))[0] == "distance in steps"
    assert "nats per character" in axes_of(pictures.ablation(found))[0]
    assert axes_of(pictures.saturation(found.parts)) == [
        "share of steps at which the gate is below 0.1",
        "share of steps at which it is above 0.9",
    ]


def test_the_scatter_has_a_dot_for_each_unit_where_its_shares_are() -> None:
    found = inspection(units=7)
    figure = Figure()
    charts.saturation(figure, found.parts)
    dots = {c.get_gid(): c.get_offsets() for ax in figure.axes for c in ax.collections}
    for number, one in enumerate(found.parts):
        for gate in one.gates:
            np.testing.assert_allclose(dots[f"dots-{number}-{gate}"], np.stack(one.saturated(gate), 1))


@pytest.mark.parametrize(("count", "room", "every"), [(30, 100, 1), (300, 100, 3)])
def test_blank_letters_have_signs_and_long_sequences_fewer_labels(count: int, room: int, every: int) -> None:
    steps = Steps(list(" \n\t") * (count // 3), "character")
    ax = Figure().subplots()
    charts.ticks(ax, steps, count, room)
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert shown == (["␣", "⏎", "⇥"] * count)[:count:every]


def test_one_unit_and_one_step_can_be_drawn(tmp_path: Path) -> None:
    steps = Steps(["only"])
    write_pictures(Inspection("tiny", steps, [part("layer 1", "lstm", steps, 1)]), tmp_path)


def test_a_signed_scale_is_blue_below_zero_orange_above_and_black_letters_are_legible_on_it() -> None:
    scale = signed(np.array([-2.0, 2.0]), 1)
    low, zero, high = scale.colours(np.array([-2.0, 0.0, 2.0])).tolist()
    assert low[2] > low[0] + 100 and high[0] > high[2] + 100 and max(zero) - min(zero) < 5
    shares = scale.palette() / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    contrast = (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05  # WCAG 2.2, against black
    assert contrast.min() >= 4.5


def test_a_few_huge_values_leave_colours_for_the_others() -> None:
    values = np.append(np.linspace(-1, 1, 99), 50.0)
    assert signed(values).ends[1] < 1.1
    assert signed(values, 1).ends[1] == 50

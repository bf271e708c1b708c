"""An inspection as PNG files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from holdfast.insight.analysis.results import AblatedComponent, Ablation, GradientFlow, Inspection, Steps
from holdfast.insight.render import charts, plots
from holdfast.insight.render.colormaps import signed
from holdfast.insight.render.page import write
from holdfast.insight.render.plots import write_plots
from inspected import characters, hours, inspection, layer_trace

ALL = {"gates", "gates-2", "saturation", "tracked", "memory", "gradients", "attribution", "ablation"}


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (inspection(characters(60), units=6), set()),
        (inspection(hours(50), "gru", units=6), set()),
        (inspection(hours(50, 20), "rnn", units=6), {"saturation"}),
        (
            Inspection("bare", characters(9), [layer_trace("layer 1", "rnn", characters(9), 3)]),
            ALL - {"gates"},
        ),
    ],
    ids=["characters", "two series", "a roll", "nothing but states"],
)
def test_every_finding_has_a_plot(found: Inspection, missing: set[str], tmp_path: Path) -> None:
    paths = write_plots(found, tmp_path / "new")
    assert {path.stem for path in paths} == ALL - missing
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert 600 <= image.width <= 2000, path.name
        assert pixels.min() < 80 and len(np.unique(pixels)) > 10, f"{path.name} is blank"


def axes_of(painter: plots.Painter | None) -> list[str]:
    """Return the labels of all axes of a figure that is not saved."""
    assert painter is not None
    size, paint = painter
    figure = Figure(figsize=size)
    paint(figure)
    return [text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel()) if text] + [
        text.get_text() for text in (figure._supxlabel, figure._supylabel) if text is not None
    ]


def test_axes_are_labelled_with_their_units() -> None:
    found = inspection()
    assert axes_of(plots.memory(found)) == [
        "steps back",
        "influence (peak = 1)",
        "share of units",
        "half-life (steps)",
    ]
    assert axes_of(plots.gradients(found))[0] == "distance in steps"
    assert "nats per character" in axes_of(plots.ablation(found))[0]
    assert axes_of(plots.saturation(found)) == [
        "share of steps with the gate below 0.1",
        "share of steps with the gate above 0.9",
    ]


def test_the_scatter_has_a_dot_for_each_unit_where_its_shares_are() -> None:
    found = inspection(units=7)
    figure = Figure()
    charts.saturation(figure, found.layers)
    dots = {c.get_gid(): c.get_offsets() for ax in figure.axes for c in ax.collections}
    for number, one in enumerate(found.layers):
        for gate in one.gates:
            np.testing.assert_allclose(dots[f"dots-{number}-{gate}"], np.stack(one.saturation(gate), 1))


@pytest.mark.parametrize(("count", "room", "every"), [(30, 100, 1), (300, 100, 3)])
def test_blank_letters_have_symbols_and_long_sequences_fewer_labels(
    count: int, room: int, every: int
) -> None:
    steps = Steps(list(" \n\t") * (count // 3), "character")
    ax = Figure().subplots()
    charts.ticks(ax, steps, count, room)
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert shown == (["␣", "⏎", "⇥"] * count)[:count:every]


def test_one_unit_and_one_step_can_be_plotted(tmp_path: Path) -> None:
    steps = Steps(["only"])
    write_plots(Inspection("tiny", steps, [layer_trace("layer 1", "lstm", steps, 1)]), tmp_path)


def test_a_signed_scale_is_blue_below_zero_orange_above_and_black_letters_are_legible_on_it() -> None:
    scale = signed(np.array([-2.0, 2.0]), 1)
    low, zero, high = scale.colors(np.array([-2.0, 0.0, 2.0])).tolist()
    assert low[2] > low[0] + 100 and high[0] > high[2] + 100 and max(zero) - min(zero) < 5
    shares = scale.palette() / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    contrast = (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05  # WCAG 2.2, against black
    assert contrast.min() >= 4.5


def test_a_few_huge_values_leave_colors_for_the_others() -> None:
    values = np.append(np.linspace(-1, 1, 99), 50.0)
    assert signed(values).ends[1] < 1.1
    assert signed(values, 1).ends[1] == 50


def rendered(painter: plots.Painter) -> Figure:
    """Return a figure with its final layout, as it is saved."""
    size, paint = painter
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure)
    figure.canvas.draw()
    return figure


def test_values_below_rounding_are_not_plotted() -> None:
    found = inspection()
    lost = np.where(np.arange(40) < 20, 0.1 ** np.arange(40), 0.0)
    assert found.memory is not None
    horizon = replace(found.memory, jacobian=lost, finite=np.array([0.1, 1e-4, 1e-16]))
    flows = [GradientFlow("layer 1", lost, lost, 0.1, "vanishing", "")]
    far = replace(found, memory=horizon, gradients=flows)
    for painter, names in (
        (plots.memory(far), ("Jacobian", "finite")),
        (plots.gradients(far), ("layer",)),
    ):
        axis = rendered(painter).axes[0]
        for name in names:
            (line,) = (line for line in axis.lines if name in str(line.get_label()))
            drawn = np.asarray(line.get_ydata(), float)
            assert np.nanmin(drawn) >= charts._FLOOR and np.isnan(drawn[-1])
        assert 1e-9 < axis.get_ylim()[0] < 1e-8


def test_half_lives_have_plain_numbers() -> None:
    found = inspection()
    layers = [replace(one, half_lives=np.linspace(0.6, 1.9, 12)) for one in found.layers]
    axis = rendered(plots.memory(replace(found, layers=layers))).axes[1]
    shown = [text.get_text() for text in (*axis.get_yticklabels(), *axis.get_yticklabels(minor=True))]
    assert any(shown) and not any("e" in text for text in shown)


@pytest.mark.parametrize("fall", [1e-7, 1e-3, 0.5, 3.0])
def test_the_number_next_to_a_negative_bar_keeps_its_sign_visible(fall: float) -> None:
    cuts = [
        AblatedComponent("gate", 0, "input gate held at its mean", 2.0),
        AblatedComponent("gate", 0, "forget gate always open", 1 - fall),
    ]
    found = replace(inspection(), ablation=Ablation(1.0, "nats", cuts))
    figure = rendered(plots.ablation(found))
    axis = figure.axes[0]
    frame = axis.get_window_extent()
    labels = [text for text in axis.texts if text.get_text()]
    assert [text.get_text() for text in labels] == ["+1", f"{-fall:+.3g}"]
    for text in labels:
        box = text.get_window_extent()
        assert frame.x0 < box.x0 and box.x1 < frame.x1


def test_a_binary_feature_is_plotted_in_steps() -> None:
    values = np.linspace(0, 1, 6)
    for feature, shape in (([0, 0, 1, 1, np.nan, 0], "steps-mid"), ([0, 0.5, 1, 1, 0, 0], "default")):
        figure = Figure()
        charts.unit_and_feature(figure.subplots(), values, np.array(feature), ("unit", "feature"))
        assert figure.axes[1].lines[0].get_drawstyle() == shape


def test_a_plot_names_the_number_of_searched_sequences() -> None:
    for steps in (characters(60), hours(50)):
        found = replace(inspection(steps), sequences=64)
        title = rendered(plots._tracked(found)).axes[0].get_title()
        assert "The search used 64 sequences" in title


@pytest.mark.slow
def test_units_of_a_constant_feature_are_not_plotted(tmp_path: Path) -> None:
    found = inspection()
    still = replace(found.steps, features={name: np.zeros(120) for name in found.steps.features})
    assert not any(path.stem == "tracked" for path in write_plots(replace(found, steps=still), tmp_path))


@pytest.mark.slow
def test_a_second_inspection_replaces_the_plots_and_keeps_other_files(
    tmp_path: Path,
) -> None:
    write(inspection(layers=3), tmp_path)
    others = ["mine.png", "gates-old.png", "gates-3.png.txt", "heard.png"]
    for name in others:
        (tmp_path / name).write_text("mine")
    steps = characters(9)
    write(Inspection("bare", steps, [layer_trace("layer 1", "rnn", steps, 3)]), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "gates.png", *others}

"""The page of an inspection is self-contained, holds its numbers, and escapes its labels."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from holdfast.insight.analysis import summary
from holdfast.insight.analysis.results import Inspection, Steps
from holdfast.insight.render.captions import choose_units, plotted_units, tracked_features
from holdfast.insight.render.label_text import sign
from holdfast.insight.render.page import write_page
from inspected import characters, hours, inspection, layer_trace

VOID = {"br", "img", "input", "link", "meta"}
CASES = {
    "characters": inspection(characters(60)),
    "a GRU on two series": inspection(hours(60), "gru", layers=1),
    "an RNN on a roll": inspection(hours(60, 30), "rnn", layers=1),
    "nothing but gates": Inspection(
        "bare", characters(30), [layer_trace("layer 1", "lstm", characters(30), 5)]
    ),
    "one step, one unit": Inspection("tiny", Steps(["a"]), [layer_trace("layer 1", "lstm", Steps(["a"]), 1)]),
}


class Parsed(HTMLParser):
    """Parse tags with attributes, the text of each element with an id, table rows, and nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.open: list[tuple[str, str | None]] = []
        self.feed(text)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            if name is not None:
                self.texts[name] = self.texts.get(name, "") + data
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.rows[-1][-1] += data


def page(found: Inspection, folder: Path) -> tuple[str, Parsed]:
    text = write_page(found, folder / "report.html").read_text(encoding="utf-8")
    return text, Parsed(text)


def undrawn(found: Inspection) -> Inspection:
    """Return the inspection without the parts that take time to plot."""
    return replace(found, memory=None, gradients=(), ablation=None)


def embedded(parsed: Parsed) -> Any:
    return json.loads(parsed.texts["data"])


def raster(parsed: Parsed, number: int, name: str) -> np.ndarray:
    """Return the bytes [units, steps] of the heatmap of an activation."""
    (source,) = (
        attrs["src"]
        for tag, attrs in parsed.tags
        if tag == "img" and (attrs.get("data-part"), attrs.get("data-name")) == (str(number), name)
    )
    assert source is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Parsed]]:
    """Write the pages of all cases."""
    return {name: page(found, tmp_path_factory.mktemp("page")) for name, found in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_it_loads_nothing_from_elsewhere(case: str, written: dict[str, tuple[str, Parsed]]) -> None:
    text, parsed = written[case]
    assert not re.search(r"https?://|@import|url\((?!#)|\bfetch\(|XMLHttpRequest|WebSocket|\beval\(", text)
    for tag, attrs in parsed.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attrs.get(name) or "#"
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:60]}>"
    (policy,) = (a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")


@pytest.mark.parametrize("case", CASES)
def test_it_carries_the_numbers_of_the_inspection(case: str, written: dict[str, tuple[str, Parsed]]) -> None:
    found, (_, parsed) = CASES[case], written[case]
    data = embedded(parsed)
    assert data["labels"] == [sign(label) for label in found.steps.labels]
    for number, (one, shown_part) in enumerate(zip(found.layers, data["parts"], strict=True)):
        assert shown_part["name"] == one.name
        if one.half_lives is not None:
            np.testing.assert_allclose(np.array(shown_part["halfLives"], float), one.half_lives, rtol=1e-3)
        for gate, shares in shown_part["saturated"].items():
            np.testing.assert_allclose(shares, one.saturation(gate), atol=1e-3)
        assert [activation["name"] for activation in shown_part["activations"]] == list(one.activations)
        for activation in shown_part["activations"]:
            values = one.activations[activation["name"]]
            np.testing.assert_allclose(activation["means"], values.mean(1), rtol=1e-3, atol=1e-9)
            low, high, units = activation["low"], activation["high"], activation["units"]
            shown = low + raster(parsed, number, activation["name"]) / 255 * (high - low)
            np.testing.assert_allclose(shown, values[:, units].T, atol=(high - low) / 509)
            assert units == one.order.tolist()


def test_its_tables_hold_the_findings(written: dict[str, tuple[str, Parsed]]) -> None:
    found, (_, parsed) = CASES["characters"], written["characters"]
    horizon, ablation, by = found.memory, found.ablation, found.attribution
    assert horizon is not None and ablation is not None and by is not None
    checked = dict(zip(horizon.checked.tolist(), horizon.finite, strict=True))
    for lag, influence in zip(horizon.lags.tolist(), horizon.jacobian, strict=True):
        finite = f"{checked[lag]:.4g}" if lag in checked else ""
        assert [str(lag), f"{influence:.4g}", finite] in parsed.rows
    for cut in ablation.components:
        row = next(row for row in parsed.rows if cut.name in row[0] and row[2:3] == [f"{cut.loss:.4g}"])
        assert row[3] == f"{cut.loss - ablation.loss:+.4g}"
    first = int(np.argmax(np.abs(by.integrated)))
    label = sign(found.steps.labels[first])
    assert [
        str(first + 1),
        label,
        f"{len(found.steps) - 1 - first} back",
        f"{by.integrated[first]:+.4g}",
        f"{by.occlusion[first]:+.4g}",
    ] in parsed.rows
    for unit in found.feature_units:
        row = next(row for row in parsed.rows if row[0].endswith(f"unit {unit.unit}"))
        assert row[2:5] == [unit.feature, f"{unit.confirmed:+.3f}", f"{unit.selected:+.3f}"]
    for text in [*found.summary, *found.notes]:
        assert text in parsed.texts["main"]
    assert parsed.texts["main"].index(found.summary[0]) < parsed.texts["main"].index(found.notes[0])


def test_each_unit_has_a_dot_in_each_scatter_in_the_order_that_the_script_counts(
    written: dict[str, tuple[str, Parsed]],
) -> None:
    found, (text, _) = CASES["a GRU on two series"], written["a GRU on two series"]
    for number, one in enumerate(found.layers):
        for gate in one.gates:
            (dots,) = re.findall(rf'<g id="dots-{number}-{gate}">(.*?)</g>\s*<g', text, flags=re.DOTALL)
            drawn = [
                [float(x) for x in at] for at in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', dots)
            ]
            left, right = one.saturation(gate)
            assert len(drawn) == len(one.order)
            x, y = np.array(drawn).T
            for shares, places in ((left, x), (-right, y)):  # y points down in SVG
                slope, offset = np.polyfit(shares, places, 1)
                assert slope > 0
                np.testing.assert_allclose(slope * shares + offset, places, atol=1e-3)


def test_letters_have_the_color_of_the_shown_unit(tmp_path: Path) -> None:
    steps = Steps(list("abc"), "character", features={"rises": np.arange(3.0)})
    found = inspection(steps, "rnn", layers=1)
    unit = found.feature_units[0]
    found.layers[0].activations["hidden"][:, unit.unit] = [-1.0, 0.0, 1.0]
    text, _ = page(undrawn(replace(found, attribution=None)), tmp_path)
    assert re.findall(r'<i class="t(\d+)">(.)</i>', text) == [("0", "a"), ("16", "b"), ("32", "c")]


@pytest.mark.parametrize("units", [256, 700])
def test_a_thousand_steps_take_less_than_5_mb_even_where_nothing_can_be_packed(
    units: int, tmp_path: Path
) -> None:
    rng, steps = np.random.default_rng(0), characters(1000)
    found = inspection(steps, units=4)
    noisy = [
        replace(
            layer_trace(f"layer {k}", "lstm", characters(2), units),
            activations={name: rng.uniform(0, 1, (1000, units)) for name in found.layers[0].activations},
        )
        for k in range(2)
    ]
    path = write_page(replace(found, layers=noisy), tmp_path / "report.html")
    assert path.stat().st_size < 5e6
    thinned = "so that it stays below 5 MB" in path.read_text(encoding="utf-8")
    assert thinned == (units > 256)


def test_a_thinned_page_keeps_the_units_that_follow_something() -> None:
    order = np.random.default_rng(1).permutation(50)
    kept = choose_units(order, 10, [7, 31, 7])
    assert len(kept) == 10 and {7, 31} <= set(kept.tolist())
    places = [order.tolist().index(unit) for unit in kept]
    assert places == sorted(places)


def test_each_finding_is_written_once(tmp_path: Path) -> None:
    found = inspection()
    sentences = [*summary.sentences(found), *(flow.sentence for flow in found.gradients)]
    _, parsed = page(replace(found, summary=sentences), tmp_path)
    text = parsed.texts["main"]
    for sentence in dict.fromkeys(sentences):
        assert text.count(sentence) == sentences.count(sentence)
    for words in ("Rank correlation", "falls below half", "costliest"):
        assert words not in text


def test_only_changing_features_are_plotted_and_the_searched_sequences_reported(
    tmp_path: Path,
) -> None:
    found = inspection()
    still, moving = found.steps.features
    flat = dict(found.steps.features) | {still: np.ones(len(found.steps))}
    feature_batch = replace(found, steps=replace(found.steps, features=flat), sequences=64)
    (unit,) = plotted_units(feature_batch)
    assert unit.feature == moving
    _, parsed = page(feature_batch, tmp_path)
    assert "The search used 64 sequences; the first is shown." in parsed.texts["main"]
    assert any(still in row for row in parsed.rows), "the table has all"
    _, parsed = page(found, tmp_path)
    assert "looked for in" not in parsed.texts["main"]


def test_units_carry_their_findings_unless_the_state_is_projected() -> None:
    found = inspection(characters(20), layers=1)
    first, second = found.feature_units
    assert tracked_features(found, 0) == {first.unit: [first.feature], second.unit: [second.feature]}
    narrow = dict(found.layers[0].activations) | {"cell": np.zeros((20, 3))}
    assert tracked_features(replace(found, layers=[replace(found.layers[0], activations=narrow)]), 0) == {}


def test_a_projected_state_has_its_own_units(tmp_path: Path) -> None:
    whole = layer_trace("layer 1", "lstm", characters(20), 6)
    narrow = dict(whole.activations) | {"hidden": whole.activations["hidden"][:, :2]}
    _, parsed = page(Inspection("projected", characters(20), [replace(whole, activations=narrow)]), tmp_path)
    units = {one["name"]: one["units"] for one in embedded(parsed)["parts"][0]["activations"]}
    assert units["hidden"] == [0, 1]
    assert units["cell"] == whole.order.tolist()


LABELS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [
                "<script>alert(1)</script>",
                "</script>",
                "<!--",
                "\ud800",
                "👩‍👧",
                "שלום",
                "\u202e",
                "&amp;",
                "$x$",
                "\x00",
            ]
        ),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=12)
@given(labels=LABELS, name=st.text(max_size=8))
def test_labels_are_escaped(labels: list[str], name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    count = len(labels)
    steps = Steps(labels, "character", features={f"<b>{name}": np.arange(float(count))})
    whole = undrawn(inspection(steps, "rnn", units=3, layers=1))
    found = replace(whole, title=f"</title><script>{name}", summary=[f"<img src=x>{name}"])
    plain, parsed = page(found, tmp_path_factory.mktemp("page"))
    plain.encode()
    assert embedded(parsed)["labels"] == [sign(label) for label in labels]
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert not [attrs for tag, attrs in parsed.tags if tag in ("b",) or attrs.get("src") == "x"]


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_the_chosen_step_shows_its_numbers_and_nothing_complains(tmp_path: Path) -> None:
    found = inspection()
    path = write_page(found, tmp_path / "report.html")
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path / 'profile'}",
            ),
            *("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    parsed = Parsed(done.stdout)
    assert ("div", {"id": "explorer"}) in parsed.tags
    unit = found.feature_units[0].unit
    assert parsed.texts["at-title"] == f"Step 1 of {len(found.steps)}: {sign(found.steps.labels[0])}"
    assert parsed.texts["at-unit"] == f"unit {unit}"
    for name, values in found.layers[0].activations.items():
        row = next(row for row in parsed.rows if row[0] == name)
        assert float(row[1]) == pytest.approx(values[0].mean(), abs=0.006)
        assert float(row[2]) == pytest.approx(values[0, unit], abs=0.006 + np.ptp(values) / 255)

"""The textbook claims: paired tests by hand and against scipy, and runs by the command line."""

from __future__ import annotations

import json
from math import log
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import call
from holdfast.config import build_config
from holdfast.errors import UserError
from holdfast.experiments.claims.run import (
    ExperimentDesign,
    _lengthen,
    _matched_size,
    _network_variants,
    _plan_runs,
    _settings_by_fraction,
)
from holdfast.experiments.claims.summary import (
    claims_to_dict,
    describe_method,
    summarize_verdicts,
    verdict_sentence,
    verdict_table,
)
from holdfast.experiments.claims.verdicts import (
    _LESS_TIME,
    _SAME_MEMORY,
    LOWER_LOSS,
    Claim,
    _steps_to_loss,
    evaluate_claims,
)
from holdfast.experiments.compare import with_changes
from holdfast.reporting.comparison import Comparison
from holdfast.tasks.metrics import Metric
from holdfast.tasks.registry import settings_class, task_class
from musical import folder_of

# -- the claims ------------------------------------------------------------------------------------

METRIC = Metric("accuracy", "accuracy", "", direction="higher", perfect=1.0)


def run(cell: str, seed: int, share: float, **more: Any) -> dict[str, Any]:
    gru = cell != "lstm"
    wobble = 0.001 * (seed + 1) * (1 if gru else -1)
    values = {
        "hidden_size": {"lstm": 4, "gru": 4}.get(cell, 5),
        "parameters": {"lstm": 500, "gru": 400}.get(cell, 490),
        "recurrent_parameters": {"lstm": 400, "gru": 300}.get(cell, 390),
        "updates_per_epoch": 10.0,
        "update_seconds": (0.5 if gru else 1.0) + wobble,
        "valid_losses": [4.0, 2.0 + wobble, 1.0 + wobble],
        "train_loss": 0.5,
        "valid_loss": 1.0 + wobble,
        "seconds_per_epoch": 1.0,
        "model": {"accuracy": 0.8 + wobble},
        "half_life": 10.0 + wobble,
        "reach": 30.0 if gru else 60.0,
        "longest": 99,
    }
    return {"cell": cell, "seed": seed, "share": share, "split": "test"} | values | more


def found(cells: tuple[str, ...] = ("lstm", "gru", "gru-5"), **more: Any) -> Comparison:
    runs = [run(c, seed, share, **more) for seed in range(3) for share in (0.1, 1.0) for c in cells]
    return Comparison("classify", runs, {"majority": {"accuracy": 0.5}}, ("a note",))


def by_measure(claims: list[Claim], equal: str = "hidden size") -> dict[str, Claim]:
    return {claim.measured: claim for claim in claims if claim.equal == equal}


def test_verdicts_follow_the_runs() -> None:
    tested = evaluate_claims(found(), METRIC)
    own = by_measure(tested)
    assert own["parameters of the recurrent layers, biases included"].decision == "holds"
    seconds = own["seconds per optimizer step"]
    assert seconds.decision == "holds" and seconds.finding is not None
    assert seconds.displayed(seconds.finding.effect) == pytest.approx(0.503, abs=0.001)
    goal = 1.003 * 1.02  # the worst best loss is the GRU's of seed 2
    assert own[f"optimizer steps to a validation loss of {goal:.4g}"].remark == "no difference that matters"
    assert own[f"seconds to a validation loss of {goal:.4g}"].decision == "holds"
    gap = own["validation minus training loss, 10% of the data"]
    assert gap.decision == "does not hold" and gap.finding is not None
    assert gap.finding.effect == pytest.approx(0.004 / 0.998) and gap.means == pytest.approx((0.502, 0.498))
    error = own["test 1 - accuracy, 10% of the data"]
    assert error.finding is not None and error.finding.effect == pytest.approx(-0.004 / 0.202)
    assert own["time steps until an input's influence is halved"].decision == "holds"
    assert own["time steps until it falls to a twentieth"].decision == "does not hold"
    assert [claim.one for claim in tested] == ["gru"] * 9 + ["gru-5"] * 8


def test_an_opposite_result_is_reported() -> None:
    runs = [dict(r, update_seconds=2.0 + r["seed"] / 9 if r["cell"] == "gru" else 1.0) for r in found().runs]
    slower = by_measure(evaluate_claims(Comparison("classify", runs, {}, ()), METRIC))[
        "seconds per optimizer step"
    ]
    assert slower.decision == "does not hold" and slower.remark == "the opposite is true"
    assert "does not hold; the opposite is true (" in verdict_sentence(slower)


def test_memory_beyond_the_measured_range_is_not_decided() -> None:
    far = by_measure(evaluate_claims(found(half_life=None), METRIC))[
        "time steps until an input's influence is halved"
    ]
    assert far.decision == "not decided" and far.remark == "6 of 6 are longer than the 99 time steps measured"
    never = by_measure(evaluate_claims(found(unmeasured="A rule. One step."), METRIC))
    assert (
        never["time steps until it falls to a twentieth"].remark == "it cannot be measured: A rule. One step"
    )
    runs = [{k: v for k, v in r.items() if k != "reach"} for r in found().runs]
    lost = by_measure(evaluate_claims(Comparison("classify", runs, {}, ()), METRIC))
    assert "it was not measured" in verdict_sentence(lost["time steps until it falls to a twentieth"])


def test_the_plain_rnn_is_tested_where_it_ran() -> None:
    tested = evaluate_claims(found(("lstm", "gru", "rnn", "gru-5", "rnn-9")), METRIC)
    plain = [(claim.one, claim.other) for claim in tested if "plain RNN" in claim.claim]
    assert (
        plain
        == [("gru", "rnn")] * 3 + [("lstm", "rnn")] * 3 + [("gru-5", "rnn-9")] * 3 + [("lstm", "rnn-9")] * 3
    )


def test_seeds_missing_at_some_fractions_are_left_out() -> None:
    runs = [r for r in found().runs if (r["seed"], r["share"], r["cell"]) != (1, 0.1, "gru")]
    own = by_measure(evaluate_claims(Comparison("classify", runs, {}, ()), METRIC))
    small, whole = own["validation loss, 10% of the data"].finding, own["seconds per optimizer step"].finding
    assert small is not None and whole is not None and (small.pairs, whole.pairs) == (2, 3)


def test_no_loss_of_quality_is_not_decided() -> None:
    perfect = by_measure(evaluate_claims(found(model={"accuracy": 1.0}), METRIC))
    assert "has no loss to lower" in perfect["test 1 - accuracy, 10% of the data"].remark


def test_a_loss_that_all_reach_at_once_does_not_measure_speed() -> None:
    own = by_measure(evaluate_claims(found(valid_losses=[1.0, 0.99]), METRIC))
    assert (
        own["optimizer steps to a validation loss of 1.01"].remark == "all runs reach it in the first epoch"
    )
    assert own["seconds to a validation loss of 1.01"].decision == "not decided"


def test_equal_losses_are_reported() -> None:
    gap = by_measure(evaluate_claims(found(train_loss=3.0), METRIC))[
        "validation minus training loss, 10% of the data"
    ]
    assert gap.remark.startswith("neither overfits")


def test_runs_of_another_kind_are_refused() -> None:
    runs = [{"cell": "gru", "seed": 0, "share": 1.0}]
    with pytest.raises(UserError, match="older comparison"):
        evaluate_claims(Comparison("classify", runs, {}, ()), METRIC)


def test_updates_to_a_goal() -> None:
    assert _steps_to_loss({"valid_losses": [3.0, 5.0, 1.0], "updates_per_epoch": 10}, 2.0) == pytest.approx(
        27.5
    )
    assert _steps_to_loss({"valid_losses": [1.0], "updates_per_epoch": 10}, 2.0) == 10


def test_sentences_tables_and_json_agree() -> None:
    comparison = found()
    tested = evaluate_claims(comparison, METRIC)
    values = claims_to_dict(comparison, tested)
    assert json.loads(json.dumps(values, allow_nan=False)) == json.loads(json.dumps(values))
    assert values["networks"]["gru-5"] == {"hidden_size": 5, "parameters": 490, "recurrent_parameters": 390}
    seconds = next(claim for claim in values["claims"] if claim["measured"] == "seconds per optimizer step")
    assert seconds["effect"] == pytest.approx(0.503, abs=0.001) and seconds["holds_below"] == pytest.approx(
        0.95
    )
    assert seconds["low"] < seconds["effect"] < seconds["high"] and seconds["holds_above"] is None
    assert seconds["p"] < seconds["p_holm"] and seconds["p_signs"] == 0.25
    header, *rows = verdict_table(tested)
    assert {len(row) for row in rows} == {len(header)} and [row[2] for row in rows] == [
        c.decision for c in tested
    ]
    assert "no p below 0.25" in describe_method(tested)[2]
    decided = sum(claim.finding is not None and claim.decision != "not decided" for claim in tested)
    assert f"Of 16 tests {decided} are decided" in describe_method(tested)[3]
    faster = "“a GRU trains faster”, 6 tests: holds in 4, does not hold in 2."
    assert faster in summarize_verdicts(tested) and len(summarize_verdicts(tested)) == 5


def test_the_smallest_effects_that_matter() -> None:
    assert _LESS_TIME.high == pytest.approx(log(0.95)) and LOWER_LOSS.high == -0.02
    assert [*_SAME_MEMORY] == pytest.approx([-log(1.25), log(1.25)])


# -- the runs --------------------------------------------------------------------------------------


@given(st.integers(16, 300), st.integers(1, 60))
def test_the_matched_size_is_the_closest(hidden: int, inputs: int) -> None:
    def count(gates: int, units: int) -> int:
        return gates * (inputs * units + units * units + 2 * units)

    target = count(4, hidden)
    size = _matched_size(lambda units: count(3, units), target, hidden)
    best = min(range(1, 2 * hidden), key=lambda units: abs(count(3, units) - target))
    assert abs(count(3, size) - target) == abs(count(3, best) - target)
    assert abs(count(3, size) / target - 1) < 0.06


def table_of(path: Path) -> Path:
    wave = (f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00:00,{10 + i % 24 + i / 100:.2f}\n" for i in range(480))
    path.write_text("date,temp\n" + "".join(wave))
    return path


def test_networks_of_equal_parameters_and_the_plan(tmp_path: Path) -> None:
    make, fields = task_class("forecast"), {"horizon": 3, "hidden_size": 48, "epochs": 4, "batch_size": 8}
    config = build_config(settings_class("forecast", "config"), fields | {"target": "temp"})
    prepared = make(config).prepare(table_of(tmp_path / "a.csv"))
    named = _network_variants(make, config, prepared, ("lstm", "gru", "rnn"))
    counts = {}
    for name, own in named.items():
        module, _ = make(with_changes(config, 0, **own)).untrained(prepared)
        counts[name] = sum(p.numel() for p in module.parameters())
    (gru,) = (name for name in named if name.startswith("gru-"))
    (rnn,) = (name for name in named if name.startswith("rnn-"))
    assert counts[gru] == pytest.approx(counts["lstm"], rel=0.02)
    assert counts[rnn] == pytest.approx(counts["lstm"], rel=0.02)
    by_share = {0.25: prepared.fraction(0.25), 1.0: prepared}
    own = _settings_by_fraction(make, config, by_share)
    steps = {share: make(config).untrained(data)[1].steps_per_epoch for share, data in by_share.items()}
    assert own[1.0].training.epochs == 4 and own[0.25].training.epochs == round(4 * steps[1.0] / steps[0.25])
    planned = _plan_runs(own, named, by_share, 2)
    assert len(planned) == 2 * 2 * 5 and len({run.key for run in planned}) == len(planned)
    assert [run.name for run in planned[:5]] == [*named]
    assert [run.name for run in planned[10:15]] == [*[*named][1:], "lstm"]
    assert _lengthen(config, 0.01).training.epochs == 1


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"cells": ("gru",)}, "must include lstm and gru"),
        ({"cells": ("gru", "lstm", "tcn")}, "must be one of rnn, gru, lstm"),
        ({"fractions": (0.1, 0.5)}, "include 1"),
        ({"fractions": (0.0, 1.0)}, "above 0"),
        ({"fractions": (1.5, 1.0)}, "above 0"),
        ({"fractions": ()}, "Given: none"),
        ({"fractions": (float("nan"), 1.0)}, "above 0"),
    ],
)
def test_an_invalid_design(design: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ExperimentDesign(**{"cells": ("lstm", "gru"), "seeds": 5, "fractions": (0.5, 1.0)} | design)


FORECAST = ["--target", "temp", "--horizon", "3", "--season", "24", "--lookback", "24", "--hidden-size", "6"]


def test_claims_of_a_table_and_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.experiments import compare

    whole, ended = compare.save_json, []

    def then_ctrl_c(path: Path, values: dict[str, Any]) -> None:
        whole(path, values)
        ended.append(path)
        if len(ended) == 3:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    command = ["claims", "forecast", table_of(tmp_path / "a.csv"), *FORECAST, "--epochs", "1", "--seeds", "2"]
    command += ["--fractions", "0.25,1", "--out", out]
    monkeypatch.setattr(compare, "save_json", then_ctrl_c)
    _, err = call(capsys, *command, code=130)
    assert "repeat the command with --resume" in err
    first = json.loads((out / "comparison.json").read_text())["runs"]
    monkeypatch.setattr(compare, "save_json", whole)
    text, err = call(capsys, *command, "--resume")
    assert "run 3 of" not in err and "run 4 of 12" in err and "in turn" in err and "measuring memory" in err
    runs = json.loads((out / "comparison.json").read_text())["runs"]
    assert [r["model"] for r in runs[:3]] == [r["model"] for r in first]
    assert len(runs) == 12 and {r["share"] for r in runs} == {0.25, 1.0}
    assert all(("reach" in r) == (r["share"] == 1.0) for r in runs)
    assert "“a GRU has three quarters of an LSTM's parameters”" in text and "holds; exactly 0.75" in text
    assert (out / "plots" / "claims.png").exists() and "data:image/png" in (out / "report.html").read_text()
    again, err = call(capsys, *command, "--resume", "--json")  # no run is left
    assert "run " not in err and json.loads(again) == json.loads((out / "claims.json").read_text())
    assert json.loads(again)["seeds"] == [0, 1] and len(json.loads(again)["claims"]) == 17
    _, err = call(capsys, *command, "--resume", "--overwrite", code=2)
    assert "--overwrite was given as well" in err
    _, err = call(capsys, *command, "--resume", "--dropout", "0.3", code=2)
    assert "must keep its settings" in err


@pytest.mark.slow
def test_claims_of_music(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--hidden-size",
        "6",
        "--chord-size",
        "6",
        "--epochs",
        "1",
        "--steps-per-beat",
        "2",
        "--device",
        "cpu",
    ]
    out, _ = call(
        capsys, "claims", "music", folder_of(tmp_path / "pieces", 14), *flags, "--seeds", "2",
        "--fractions", "1", "--cells", "lstm,gru,rnn", "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert set(found["networks"]) >= {"lstm", "gru", "rnn"} and found["fractions"] == [1.0]
    assert any("plain RNN" in claim["claim"] for claim in found["claims"])
    kept = {path.name for path in (tmp_path / "out" / "weights").iterdir()}
    assert kept == {f"{name}-seed-{seed}.safetensors" for name in found["networks"] for seed in (0, 1)}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--fractions", "0.001,1"], "At 0.001: It has"),
        (["--fractions", "0.5,0.501,1"], "as many as the smaller one"),
        (["--fractions", "half,1"], "--fractions must be numbers with commas between"),
        (["--seeds", "1"], "at least 2 seeds"),
        (["--cells", "lstm"], "Given: lstm."),
    ],
)
def test_a_refused_design_is_explained(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = table_of(tmp_path / "a.csv"), tmp_path / "out"
    _, err = call(capsys, "claims", "forecast", data, *FORECAST, *flags, "--out", out, code=2)
    assert words in err and "Traceback" not in err and not out.exists()

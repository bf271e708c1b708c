"""The command bench, its arithmetic on given timings, and peers that fail or are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from holdfast.bench import comparison, measure
from holdfast.bench.cases import SHAPES, Case, Refused, Shape
from holdfast.bench.config import KNOWN, QUICK, Request, check
from holdfast.bench.measure import Entry, Timing, interleaved
from holdfast.bench.modes import MODES
from holdfast.bench.peers import PEERS
from holdfast.bench.peers.peer import Peer
from holdfast.bench.report import sentences, tables
from holdfast.bench.run import bench, result, summary
from holdfast.bench.runners import Runner, inference
from holdfast.cli.app import main
from holdfast.errors import UserError
from holdfast.nn.kernels import native

SMALL = Shape(2, 3, 5, 4)
TINY = ["--shapes", str(SMALL), "--cells", "gru", "--peers", "torch", "--repetitions", "2"]


def request(**fields: Any) -> Request:
    return Request(**{"cells": ["gru"], "shapes": [SMALL], "repetitions": 2, **fields})


def with_peer(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setitem(PEERS, "stranger", peer)
    monkeypatch.setitem(KNOWN, "peers", list(PEERS))


# -- the command -----------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_json_and_a_plot(tmp_path: Path, capsys: Any) -> None:
    out, plot = tmp_path / "new" / "f.json", tmp_path / "f.png"
    assert (
        main(["bench", *TINY, "--modes", "inference,training", "--out", str(out), "--plot", str(plot)]) == 0
    )
    printed = capsys.readouterr()
    assert "inference: forward pass" in printed.out and "gru 2x3x5x4" in printed.out
    assert "1 of 2: inference gru 2x3x5x4" in printed.err
    found = json.loads(out.read_text())
    assert [(r["mode"], r["peer"]) for r in found["rows"]] == [
        ("inference", "holdfast"),
        ("inference", "torch"),
        ("training", "holdfast"),
        ("training", "torch"),
    ]
    assert found["machine"]["cores"] >= 1 and found["versions"]["torch"] == torch.__version__
    assert all(row["median_ms"] > 0 for row in found["rows"])
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_json_goes_to_stdout_alone(capsys: Any) -> None:
    assert main(["bench", *TINY, "--modes", "inference", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modes", "sleeping"], "--modes must be one of inference"),
        (["--peers", "torch,nobody"], "'nobody'"),
        (["--cells", "cnn"], "--cells must be one of"),
        (["--cells", "gruu"], "Did you mean 'gru'?"),
        (["--shapes", "2x3x5"], "A shape must be BATCHxINPUTxHIDDENxSTEPS"),
        (["--shapes", "2x3x0x5"], "A shape must be"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--repetitions", "0"], "--repetitions must be at least 1"),
        (["--modes", "streaming", "--shapes", "2x3x5x4"], "shapes must have one step for streaming"),
    ],
)
def test_an_invalid_request_is_refused(words: list[str], message: str, capsys: Any) -> None:
    assert main(["bench", *words]) == 2
    printed = capsys.readouterr().err
    assert message in printed and "Traceback" not in printed


def test_an_interrupted_run_keeps_the_cases_measured_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(case: Case) -> Runner:
        raise KeyboardInterrupt

    with_peer(monkeypatch, Peer({"training": interrupt}, {}))
    out = tmp_path / "f.json"
    words = ["--modes", "inference,training", "--shapes", str(SMALL), "--cells", "gru", "--repetitions", "1"]
    assert main(["bench", *words, "--peers", "stranger", "--out", str(out)]) != 0
    assert [row["mode"] for row in json.loads(out.read_text())["rows"]] == ["inference"]


# -- peers -----------------------------------------------------------------------------------------


def test_a_missing_peer_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with_peer(monkeypatch, Peer({"inference": lambda case: Runner(lambda: None)}, {"no_such": "no-such"}))
    found = bench(request(modes=["inference"], peers=["stranger"]))
    assert found["missing"] == {"stranger": "no_such is not installed (pip install no-such)"}
    assert "missing: stranger: no_such is not installed (pip install no-such)" in sentences(found)
    assert [row["peer"] for row in found["rows"]] == ["holdfast"]


def test_a_wrong_peer_is_reported_and_not_timed(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with_peer(monkeypatch, Peer({"inference": lambda case: Runner(lambda: case.layer(case.x)[0] + 0.01)}, {}))
    found = bench(request(modes=["inference"], peers=["stranger", "torch"]))
    assert [row["peer"] for row in found["rows"]] == ["holdfast", "torch"]
    assert "its result differs by 0.01" in found["wrong"][0]["reason"]
    assert main(["bench", *TINY, "--modes", "inference", "--peers", "stranger"]) == 1
    assert "WRONG, not timed: stranger" in capsys.readouterr().err


def test_a_peer_that_fails_is_reported_and_the_others_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(case: Case) -> Runner:
        raise Refused("has no such cell")

    def fail(case: Case) -> Runner:
        raise OSError("no\n  library")

    with_peer(monkeypatch, Peer({"inference": refuse, "training": fail}, {}))
    found = bench(request(modes=["inference", "training"], peers=["stranger", "torch"]))
    assert [entry["reason"] for entry in found["skipped"]] == ["has no such cell", "OSError: no library"]
    assert sum(row["peer"] == "torch" for row in found["rows"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training", "ragged", "streaming", "bf16", "int8"])
@pytest.mark.parametrize("peer", [name for name in PEERS if name not in ("plain", "reference", "fp32")])
def test_peers_compute_what_holdfast_does(peer: str, mode: str) -> None:
    if (reason := PEERS[peer].missing()) is not None:
        pytest.skip(reason)
    shape = Shape(2, 3, 5, 1) if mode == "streaming" else SMALL
    found = bench(request(modes=[mode], peers=[peer], cells=["gru", "lstm"], shapes=[shape], repetitions=1))
    assert not found["wrong"]
    assert {entry["reason"].split(":")[0] for entry in found["skipped"]}.isdisjoint(
        {"TypeError", "ValueError"}
    )


def test_every_option_is_measured_against_the_plain_layer_and_the_reference() -> None:
    found = bench(request(modes=["options"], peers=["plain", "reference"], cells=["lstm"], repetitions=1))
    variants = {row["variant"] for row in found["rows"]}
    assert {"layer_norm", "zoneout", "peephole", "coupled", "trace", "proj_size"} <= variants
    assert not found["skipped"] and not found["wrong"]


# -- arithmetic ------------------------------------------------------------------------------------


def test_repetitions_go_forwards_and_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SHORT", 0.0)
    order: list[str] = []
    entries = {name: Entry(lambda n=name: order.append(n), 1, 2 if name == "c" else 9) for name in "abc"}
    found = interleaved(entries, 4, 60.0)
    assert order[-10:] == list("abccbaabba")
    assert [len(found[name].seconds) for name in "abc"] == [4, 4, 2]


def test_the_budget_allows_the_minimum_of_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PAUSE", 0.0)
    found = interleaved({"a": Entry(lambda: None, 1)}, 50, 0.0)
    assert len(found["a"].seconds) == measure.FEWEST


def test_medians_spreads_and_ratios() -> None:
    ours, theirs = Timing(2, [1.0, 3.0, 2.0]), Timing(1, [4.0, 8.0, 6.0])
    case = Case("inference", "gru", SMALL, 2)
    row = comparison.row(case, "torch", {"holdfast": ours, "torch": theirs}, Runner(lambda: None, flop=12e9))
    assert (row["median_ms"], row["min_ms"], row["ratio"], row["gflops"]) == (6000.0, 4000.0, 3.0, 2.0)
    assert row["spread"] == round(1 / 6, 4)  # quartiles 5 and 7
    assert Timing(1, [5.0]).spread == 0.0


def test_the_faster_of_one_and_all_threads_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(entries: Any, *_: Any) -> Any:
        return {key: Timing(key[1], [0.5 if key[1] == 1 else 0.9]) for key in entries}

    monkeypatch.setattr(comparison, "interleaved", times)
    runners = {"holdfast": Runner(lambda: None), "torch": Runner(lambda: None)}
    found = comparison.timed(Case("inference", "gru", SMALL, 2), runners, request())
    assert (found["torch"].threads, found["holdfast"].threads) == (1, 2)


def test_summaries_are_geometric_means() -> None:
    common = {"mode": "inference", "variant": "", "cell": "gru"}
    rows = [{**common, "peer": "torch", "ratio": ratio} for ratio in (2.0, 8.0)]
    rows.append({**common, "peer": "holdfast", "ratio": 1.0})
    assert summary(rows) == [
        {**common, "peer": "torch", "mean": pytest.approx(4.0), "least": 2.0, "shapes": 2}
    ]


def test_the_share_of_the_peak_counts_threads() -> None:
    findings = comparison.Findings(rows=[{"gflops": 50.0, "peer": "holdfast"}], peaks=[90e9, 100e9, 300e9])
    found = result({"threads": 2}, findings)
    assert found["peak_gflops_per_thread"] == 100.0
    assert found["rows"][0]["percent_of_peak"] == 25.0


def test_flop_counts_multiply_adds_of_real_steps() -> None:
    case = Case("inference", "lstm", Shape(2, 3, 5, 7), 1)
    assert case.flop(case.layer) == 2 * 2 * 7 * (20 * 3 + 20 * 5)
    ragged = Case("ragged", "lstm", Shape(2, 3, 5, 7), 1)
    assert ragged.flop(ragged.layer) == 2 * int(ragged.lengths.sum()) * 160


def test_a_difference_is_a_share_of_the_largest_value() -> None:
    assert comparison.difference(np.array([4.0, 0.0]), np.array([4.0, 1.0])) == 0.25
    with pytest.raises(comparison.Wrong, match="shape"):
        comparison.difference(np.zeros(2), np.zeros(3))


def test_all_peers_get_the_same_numbers() -> None:
    one, two = Case("inference", "gru", SMALL, 1), Case("inference", "gru", SMALL, 1)
    assert torch.equal(one.x, two.x) and torch.equal(one.layer.weight_hh_l0, two.layer.weight_hh_l0)
    ours, theirs = inference(one.layer, one.x).call(), inference(one.torch_layer(), one.x).call()
    assert torch.allclose(ours, theirs, atol=1e-6)


# -- tables ----------------------------------------------------------------------------------------


def test_tables_end_with_the_mean() -> None:
    rows = [
        {"mode": "inference", "variant": "", "cell": "gru", "shape": shape, "peer": peer, "ratio": ratio}
        | {"median_ms": 2.0, "percent_of_peak": 50.4}
        for shape, theirs in (("2x3x5x4", 2.0), ("1x3x5x4", 8.0))
        for peer, ratio in (("holdfast", 1.0), ("torch", theirs))
    ]
    table = tables({"rows": rows, "summary": summary(rows)})[0]
    assert table.lines == [
        ["gru 2x3x5x4", "2", "50", "2.00"],
        ["gru 1x3x5x4", "2", "50", "8.00"],
        ["gru geometric mean", "", "", "4.00"],
    ]


def test_quick_takes_fewer_cells_and_every_mode() -> None:
    names = check(QUICK)
    assert names["cells"] == ["gru", "lstm"]
    assert names["modes"] == list(MODES)
    assert len(SHAPES) == 8


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="torch-packed"):
        check(Request(peers=["tensorflow"]))


@pytest.mark.skipif(native.available() is not None, reason="the peak is the core's")
def test_the_peak_is_measured_in_the_run() -> None:
    assert bench(request(modes=["inference"], peers=["torch"]))["peak_gflops_per_thread"] > 0.1

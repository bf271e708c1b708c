"""The number of threads by affinity, quota and load, and results that do not depend on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import holdfast as hf
from holdfast.nn.kernels import native, thread_count
from holdfast.nn.kernels.thread_count import (
    INTERVAL,
    SOON,
    Machine,
    ThreadCount,
    decide,
    parse_busy_seconds,
    parse_quota,
    read_quota,
)


@pytest.mark.parametrize(
    ("wanted", "machine", "threads", "reason"),
    [
        (2, Machine(2), 2, "torch"),
        (2, Machine(2, load=0.4), 2, "torch"),
        (2, Machine(2, load=0.5), 1, "0.5 of 2 cores"),
        (2, Machine(2, load=2.0), 1, "2.0 of 2 cores"),
        (1, Machine(2, load=2.0), 1, "torch"),
        (8, Machine(8, load=1.0), 7, "1.0 of 8 cores"),
        (8, Machine(8, load=1.5), 6, "1.5 of 8 cores"),
        (8, Machine(8, load=8.0), 4, "8.0 of 8 cores"),  # half remain
        (4, Machine(8, load=3.0), 4, "torch"),  # five are left
        (8, Machine(3), 3, "3 cores"),
        (8, Machine(1), 1, "1 core"),
        (8, Machine(8, quota=2.5), 2, "2.5 CPUs"),
        (8, Machine(8, quota=0.5), 1, "0.5 CPUs"),
        (8, Machine(8, quota=6.0, load=4.0), 4, "other programs"),
        (8, Machine(8, quota=2.0, load=4.0), 2, "container"),
        (3, Machine(64, quota=16.0, load=0.1), 3, "torch"),
    ],
)
def test_decisions(wanted: int, machine: Machine, threads: int, reason: str) -> None:
    decision = decide(wanted, machine)
    assert decision.threads == threads
    assert reason in decision.reason


STAT = """\
cpu  900 0 0 0 0 0 0 0 0 0
cpu0 100 10 50 7000 9 1 2 37 0 0
cpu1 300 0 100 7000 9 0 0 0 0 0
intr 5
"""


def test_the_work_of_cores_is_read_without_idle_time_and_with_stolen_time() -> None:
    assert parse_busy_seconds(STAT, {0}, 100) == 2.0
    assert parse_busy_seconds(STAT, {0, 1}, 100) == 6.0
    assert parse_busy_seconds(STAT, {7}, 100) is None
    assert parse_busy_seconds("", {0}, 100) is None


def test_a_quota_is_a_share_of_a_period() -> None:
    assert parse_quota("150000 100000\n") == 1.5
    assert parse_quota("max 100000\n") is None
    assert parse_quota("-1 100000") is None


def test_the_smallest_quota_of_the_groups_above_counts(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    root = tmp_path / "root"
    (root / "pod" / "box").mkdir(parents=True)
    own.write_text("0::/pod/box\n")
    assert read_quota(root, own) is None
    (root / "pod" / "box" / "cpu.max").write_text("400000 100000\n")
    (root / "pod" / "cpu.max").write_text("200000 100000\n")
    assert read_quota(root, own) == 2.0


def test_the_quota_of_version_1_is_read(tmp_path: Path) -> None:
    own, folder = tmp_path / "cgroup", tmp_path / "root" / "cpu,cpuacct" / "box"
    folder.mkdir(parents=True)
    own.write_text("4:memory:/box\n3:cpu,cpuacct:/box\n")
    (folder / "cpu.cfs_quota_us").write_text("50000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert read_quota(tmp_path / "root", own) == 0.5


def test_a_decision_is_kept_for_an_interval_and_shorter_after_a_pause() -> None:
    time, machines = [100.0], iter([Machine(2), Machine(2, load=1.0), Machine(2), Machine(2, load=2.0)])
    count = ThreadCount(lambda: lambda: next(machines), lambda: time[0])
    assert count.available(2) == 2
    time[0] += SOON
    assert count.available(2) == 1  # the first decision covered the time before
    time[0] += 0.9 * INTERVAL
    assert count.available(2) == 1
    time[0] += 0.2 * INTERVAL
    assert count.available(2) == 2
    time[0] += 10 * INTERVAL
    assert count.available(2) == 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Machine]:
    """A machine that the test may change."""
    now = [Machine(4)]
    monkeypatch.setattr(thread_count, "INTERVAL", -1.0)
    monkeypatch.setattr(thread_count, "SOON", -1.0)
    monkeypatch.setattr(thread_count, "current", ThreadCount(lambda: lambda: now[0]))
    return now


LAYERS = {
    "gru": lambda size: hf.GRU(20, size),
    "lstm": lambda size: hf.LSTM(20, size),
    "projected": lambda size: hf.LSTM(20, size, proj_size=9),
    "layer norm": lambda size: hf.LSTM(20, size, layer_norm=True),
}


@pytest.mark.skipif(native.available() is not None, reason="needs the native core")
@pytest.mark.usefixtures("_settings_restored")
@pytest.mark.parametrize("size", [40, 300])  # teams of one worker; workers that share the units
@pytest.mark.parametrize("name", LAYERS)
def test_a_busy_machine_changes_no_bit(name: str, size: int, machine: list[Machine]) -> None:
    layer, x = LAYERS[name](size), torch.randn(12, 40, 20)
    lengths = torch.randint(1, 13, (40,))
    torch.set_num_threads(4)
    results = []
    for found, threads in ((Machine(4), 4), (Machine(4, load=1.0), 3), (Machine(4, quota=1.0), 1)):
        machine[0] = found
        assert thread_count.current.available(4) == threads
        leaf = x.clone().requires_grad_()
        layer.zero_grad()
        y, _ = layer(leaf, lengths=lengths)
        y.square().sum().backward()
        results.append([y, leaf.grad, *(p.grad.clone() for p in layer.parameters())])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))

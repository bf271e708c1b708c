"""The textbook claims about LSTM and GRU, tested on paired runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log
from statistics import mean
from typing import Literal

from holdfast._json import JsonMapping
from holdfast.errors import UserError
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.statistics import (
    LOWER_LOSS,
    SMALLEST_LOSS_EFFECT,
    Bounds,
    Decision,
    PairedTest,
    failure_reason,
    holm_correction,
    paired_test,
)
from holdfast.tasks.metrics import Metric

_Run = JsonMapping
_Value = Callable[[_Run], float]
Scale = Literal["ratio", "share"]

FASTER = 0.05
"""The smallest difference in time that matters, as a share."""
AS_FAR = 1.25
"""Two memory half-lives within this factor count as equal."""
_SMALL_DATA = 0.25
"""Up to this fraction of the training split the data count as small."""

_LESS_TIME = Bounds(-inf, log(1 - FASTER))
_SAME_MEMORY = Bounds(-log(AS_FAR), log(AS_FAR))
_MORE_MEMORY = Bounds(log(AS_FAR), inf)

MEMORY = {
    "time steps until an input's influence is halved": "half_life",
    "time steps until it falls to a twentieth": "reach",
}
"""Measurement of memory -> its key in a run."""

_GAP, _LOSS = "validation minus training loss", "validation loss"
_LOSSES: dict[str, _Value] = {
    _GAP: lambda run: float(run["valid_loss"] - run["train_loss"]),
    _LOSS: lambda run: float(run["valid_loss"]),
}

_NEEDED = {"recurrent_parameters", "hidden_size", "updates_per_epoch", "valid_losses"}
"""Keys of a run that the claims need, in addition to those of every comparison."""


@dataclass(frozen=True)
class Claim:
    """A claim about two networks, and its verdict.

    Attributes:
        claim: the claim as a sentence.
        measured: the quantity that is compared.
        equal: what the two networks share: hidden size or parameters.
        one, other: names of the networks.
        means: the mean of the quantity for each network.
        scale: how the effect is expressed: the natural logarithm of ``one / other`` (ratio), or
            their difference as a share of the other's validation loss or of its metric's distance
            from the best value (share).
        bounds: the claim holds if the effect lies within them.
        decision: the verdict.
        finding: the paired test; None if none was possible or needed.
        p_holm: the test's p by Holm's correction for all tests.
        remark: a note on the verdict.
    """

    claim: str
    measured: str
    equal: str
    one: str
    other: str
    means: tuple[float, float] | None
    scale: Scale
    bounds: Bounds | None
    decision: Decision
    finding: PairedTest | None = None
    p_holm: float | None = None
    remark: str = ""

    def displayed(self, effect: float) -> float:
        """Return an effect for display: as a factor or a share."""
        return exp(effect) if self.scale == "ratio" else effect


class PairedRuns:
    """The runs of a comparison, paired by seed.

    Raises:
        UserError: a run lacks a key that the claims need.
    """

    def __init__(self, comparison: Comparison) -> None:
        if any(not run.keys() >= _NEEDED for run in comparison.runs):
            raise UserError(
                "Claims must be tested on the runs of holdfast claims.",
                "These runs are of an older comparison.",
                "Start a new one with another --out.",
            )
        self.runs = {(run["cell"], run["share"], run["seed"]): run for run in comparison.runs}
        self.names = list(dict.fromkeys(run["cell"] for run in comparison.runs))
        self.shares = sorted({run["share"] for run in comparison.runs})
        self.small = [s for s in self.shares if s <= _SMALL_DATA] or self.shares[:1]

    def at(self, one: str, other: str, *shares: float) -> list[list[tuple[_Run, _Run]]]:
        """Return the pairs of runs at each share, for seeds that are complete at all of them."""
        wanted = [(name, share) for name in (one, other) for share in shares]
        seeds = sorted({seed for *_, seed in self.runs})
        ended = [s for s in seeds if all((*key, s) in self.runs for key in wanted)]
        return [[(self.runs[one, share, s], self.runs[other, share, s]) for s in ended] for share in shares]

    def network_name(self, cell: str, equal: str) -> str | None:
        """Return a cell's network at equal hidden size, or with as many parameters as the LSTM."""
        if equal == "hidden size" or cell == "lstm":
            return cell if cell in self.names else None
        matched = [name for name in self.names if name.startswith(f"{cell}-")]
        return matched[0] if matched else self.network_name(cell, "hidden size")


def evaluate_claims(comparison: Comparison, metric: Metric) -> list[Claim]:
    """Test every claim at equal hidden size and at equal parameters, with Holm's correction."""
    pairs = PairedRuns(comparison)
    claims = [_three_quarters(pairs)]
    for equal in ("hidden size", "parameters"):
        gru, lstm, rnn = (pairs.network_name(cell, equal) for cell in ("gru", "lstm", "rnn"))
        if gru is not None and lstm is not None:
            claims += _gru_and_lstm(_PairedNetworks(pairs, gru, lstm, equal), metric)
        if rnn is not None:
            for gated in filter(None, (gru, lstm)):
                claims += _gated_and_plain(_PairedNetworks(pairs, gated, rnn, equal))
    tested = [place for place, claim in enumerate(claims) if claim.finding is not None]
    corrected = holm_correction([claims[place].finding.p for place in tested])  # type: ignore[union-attr]
    for place, p in zip(tested, corrected, strict=True):
        claims[place] = replace(claims[place], p_holm=p)
    return claims


# -- the claims ------------------------------------------------------------------------------------


def _three_quarters(pairs: PairedRuns) -> Claim:
    """Compare the numbers of parameters, which are exact."""
    gru, lstm = pairs.at("gru", "lstm", 1.0)[0][0]
    means = (gru["recurrent_parameters"], lstm["recurrent_parameters"])
    ratio, ratio_of_all = means[0] / means[1], gru["parameters"] / lstm["parameters"]
    claim = "a GRU has three quarters of an LSTM's parameters"
    measured = "parameters of the recurrent layers, biases included"
    decision: Decision = "holds" if abs(ratio - 0.75) < 1e-12 else "does not hold"
    remark = (
        f"exactly {ratio:.4g}; of the whole network {ratio_of_all:.4g} "
        f"({gru['parameters']:,} against {lstm['parameters']:,})"
    )
    return Claim(claim, measured, "hidden size", "gru", "lstm", means, "ratio", None, decision, remark=remark)


def by_fraction(comparison: Comparison) -> dict[float, list[Claim]]:
    """Compare the gap and the validation loss of GRU and LSTM at each fraction."""
    pairs = PairedRuns(comparison)
    claims: dict[float, list[Claim]] = {share: [] for share in pairs.shares}
    for equal in ("hidden size", "parameters"):
        networks = _PairedNetworks(pairs, pairs.network_name("gru", equal) or "gru", "lstm", equal)
        for share in pairs.shares:
            claims[share] += [
                networks.share("", what, value, shares=[share]) for what, value in _LOSSES.items()
            ]
    return claims


def _gru_and_lstm(networks: _PairedNetworks, metric: Metric) -> Iterator[Claim]:
    data = " on small data" if networks.pairs.small[-1] <= _SMALL_DATA else ""
    faster, overfits = "a GRU trains faster", f"a GRU overfits less{data}"
    yield networks.ratio(faster, "seconds per optimizer step", _LESS_TIME, lambda r: r["update_seconds"])
    yield from networks.to_goal(faster)
    gap = networks.share(overfits, f"{_GAP}, {networks.where}", _LOSSES[_GAP])
    if gap.means is not None and max(gap.means) <= 0:
        gap = replace(gap, remark="; ".join(filter(None, ("neither overfits", gap.remark))))
    yield gap
    suits = f"a GRU is better{data}"
    yield networks.share(suits, f"{_LOSS}, {networks.where}", _LOSSES[_LOSS])
    split = networks.whole[0][0]["split"]

    def loss_of(run: _Run) -> float:
        return metric.shortfall(run["model"][metric.name])

    yield networks.share(suits, f"{split} {metric.shortfall_label}, {networks.where}", loss_of, loss_of)
    for measured, key in MEMORY.items():
        yield networks.memory("a GRU remembers as far as an LSTM", measured, _SAME_MEMORY, key)


def _gated_and_plain(networks: _PairedNetworks) -> Iterator[Claim]:
    gated = networks.one.partition("-")[0].upper()
    learns = f"a gated {gated} learns better than a plain RNN"
    yield networks.share(learns, f"{_LOSS}, all data", _LOSSES[_LOSS], shares=[1.0])
    for measured, key in MEMORY.items():
        farther = f"a gated {gated} remembers farther than a plain RNN"
        yield networks.memory(farther, measured, _MORE_MEMORY, key)


def _steps_to_loss(run: _Run, goal: float) -> float:
    """Return the optimizer steps until the validation loss reaches a goal, interpolated linearly.

    Example:
        >>> _steps_to_loss({"valid_losses": [3.0, 2.0, 1.0], "updates_per_epoch": 10}, 1.5)
        25.0
    """
    losses, each = run["valid_losses"], run["updates_per_epoch"]
    place = next(k for k, loss in enumerate(losses) if loss <= goal)
    if place == 0:
        return float(each)
    before, now = losses[place - 1], losses[place]
    return float(each * (place + (before - goal) / (before - now)))


# -- the tests -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _PairedNetworks:
    """Two networks with paired runs."""

    pairs: PairedRuns
    one: str
    other: str
    equal: str

    @property
    def where(self) -> str:
        """The small fractions of the data, in words."""
        return f"{_listed([f'{100 * share:.3g}' for share in self.pairs.small])}% of the data"

    @property
    def whole(self) -> list[tuple[_Run, _Run]]:
        """The pairs of runs on all data."""
        return self.pairs.at(self.one, self.other, 1.0)[0]

    def ratio(self, claim: str, measured: str, bounds: Bounds, value: _Value) -> Claim:
        """Test a claim about a ratio, on all data."""
        values = [(value(one), value(other)) for one, other in self.whole]
        return self._tested(claim, measured, bounds, "ratio", [log(a / b) for a, b in values], values)

    def to_goal(self, claim: str) -> Iterator[Claim]:
        """Test a claim about the steps and seconds to a common loss, if it takes over an epoch."""
        worst = max(min(run["valid_losses"]) for pair in self.whole for run in pair)
        goal = float(worst + SMALLEST_LOSS_EFFECT * abs(worst))  # which all runs reach
        values: dict[str, _Value] = {
            "optimizer steps": lambda run: _steps_to_loss(run, goal),
            "seconds": lambda run: _steps_to_loss(run, goal) * float(run["update_seconds"]),
        }
        at_once = all(run["valid_losses"][0] <= goal for pair in self.whole for run in pair)
        for what, value in values.items():
            measured = f"{what} to a validation loss of {goal:.4g}"
            if at_once:
                yield self._undecided(claim, measured, "ratio", "all runs reach it in the first epoch")
            else:
                yield self.ratio(claim, measured, _LESS_TIME, value)

    def share(
        self,
        claim: str,
        measured: str,
        value: _Value,
        scale: _Value = lambda run: run["valid_loss"],
        shares: Sequence[float] = (),
    ) -> Claim:
        """Test a claim about a difference, as a share of the other's mean, on little data."""
        every: list[list[float]] = []
        values: list[tuple[float, float]] = []
        for pairs in self.pairs.at(self.one, self.other, *(shares or self.pairs.small)):
            size = abs(mean(scale(other) for _, other in pairs))
            own = [(value(one), value(other)) for one, other in pairs]
            if size == 0:
                return self._undecided(claim, measured, "share", f"{self.other.upper()} has no loss to lower")
            every.append([(a - b) / size for a, b in own])
            values += own
        effects = [mean(of_seed) for of_seed in zip(*every, strict=True)]
        return self._tested(claim, measured, LOWER_LOSS, "share", effects, values)

    def memory(self, claim: str, measured: str, bounds: Bounds, key: str) -> Claim:
        """Test a claim about a lag of the memory curve, if it was measured in all runs."""
        if why := _why_unmeasured([run for pair in self.whole for run in pair], key):
            return self._undecided(claim, measured, "ratio", why)
        tested = self.ratio(claim, measured, bounds, lambda run: run[key])
        if bounds == _SAME_MEMORY and tested.finding is not None and tested.decision == "does not hold":
            return replace(tested, remark="less far" if tested.finding.effect < 0 else "farther")
        return tested

    def _undecided(self, claim: str, measured: str, scale: Scale, why: str) -> Claim:
        names = (claim, measured, self.equal, self.one, self.other)
        return Claim(*names, None, scale, None, "not decided", remark=why)

    def _tested(
        self,
        claim: str,
        measured: str,
        bounds: Bounds,
        scale: Scale,
        effects: Sequence[float],
        values: Sequence[tuple[float, float]],
    ) -> Claim:
        means = (mean(a for a, _ in values), mean(b for _, b in values))
        undecided = self._undecided(claim, measured, scale, "a paired test needs at least 2 pairs")
        found = replace(undecided, means=means, bounds=bounds)
        if len(effects) < 2:
            return found
        finding = paired_test(effects, bounds)
        return replace(
            found, decision=finding.decision, finding=finding, remark=failure_reason(finding, bounds)
        )


def _why_unmeasured(runs: Sequence[_Run], key: str) -> str:
    """Return why a lag of the memory curve cannot be tested; "" if it can."""
    if any(key not in run for run in runs):
        return "it was not measured"
    if reasons := [run["unmeasured"] for run in runs if "unmeasured" in run]:
        return f"it cannot be measured: {reasons[0].rstrip('.')}"
    if beyond := sum(run[key] is None for run in runs):
        longest = max(run["longest"] for run in runs)
        return f"{beyond} of {len(runs)} are longer than the {longest} time steps measured"
    return "some are 0" if any(run[key] <= 0 for run in runs) else ""


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"

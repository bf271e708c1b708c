"""Claims and their verdicts as sentences, tables and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import inf

from holdfast._json import JsonMapping, JsonObject
from holdfast.experiments.claims.verdicts import AS_FAR, FASTER, MEMORY, Claim, PairedRuns, by_fraction
from holdfast.files import counted
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.statistics import SMALLEST_LOSS_EFFECT

EFFECTS_CAPTION = (
    "GRU minus LSTM, as a share of the LSTM's validation loss, with 95% intervals over the seeds:"
)


def _number(claim: Claim, effect: float) -> str:
    """Format an effect."""
    return f"{claim.displayed(effect):.3g}" if claim.scale == "ratio" else f"{effect:+.1%}"


def _interval(claim: Claim) -> str:
    """Format the 95% interval of a claim's effect."""
    found = claim.finding
    return "" if found is None else f"{_number(claim, found.low)} to {_number(claim, found.high)}"


def _needed(claim: Claim) -> str:
    """Format the bounds between which the effect lies if the claim holds."""
    if claim.bounds is None:
        return ""
    low, high = claim.bounds
    if low == -inf:
        return f"below {_number(claim, high)}"
    if high == inf:
        return f"above {_number(claim, low)}"
    return f"{_number(claim, low)} to {_number(claim, high)}"


def verdict_sentence(claim: Claim) -> str:
    """Return a claim and its verdict as a sentence."""
    of = f"{claim.one.upper()} against {claim.other.upper()}"
    head = f"“{claim.claim}” ({claim.measured}; {of}): {claim.decision}"
    found = claim.finding
    if found is None:
        return f"{head}; {claim.remark}."
    effect = f"{_number(claim, found.effect)}, 95% interval {_interval(claim)}, {found.pairs} pairs"
    remark = f"; {claim.remark}" if claim.remark else ""
    return f"{head}{remark} ({effect}; it holds {_needed(claim)})."


def summarize_verdicts(claims: Sequence[Claim]) -> list[str]:
    """Count for each claim the tests in which it holds, does not hold, or is not decided."""
    sentences = []
    for text in dict.fromkeys(claim.claim for claim in claims):
        decisions = [claim.decision for claim in claims if claim.claim == text]
        counts = (f"{decision} in {decisions.count(decision)}" for decision in dict.fromkeys(decisions))
        sentences.append(f"“{text}”, {counted(len(decisions), 'test')}: {', '.join(counts)}.")
    return sentences


def describe_method(claims: Sequence[Claim]) -> list[str]:
    """Describe how the claims were tested, and the limits of the method."""
    found = [claim for claim in claims if claim.finding is not None]
    if not found:
        return ["No claim could be tested."]
    pairs = max(claim.finding.pairs for claim in found if claim.finding)
    decided = [claim for claim in found if claim.decision != "not decided"]
    after = sum(claim.p_holm is not None and claim.p_holm < 0.05 for claim in decided)
    return [
        "A claim holds if the whole 95% interval of the paired t test lies beyond the smallest effect that "
        f"matters ({FASTER:.0%} of the time, {SMALLEST_LOSS_EFFECT:.0%} of the loss, a factor of {AS_FAR} in memory), "
        "does not hold if none of it does, and is not decided otherwise.",
        "Seconds are those of optimizer steps taken in turn, without validation: processor time of all threads "
        "on a CPU, wall-clock time on other devices. Steps are counted to a validation loss that all runs "
        f"reach, {SMALLEST_LOSS_EFFECT:.0%} above the worst run's best. Losses are those of the weights that "
        "early stopping keeps.",
        f"With {pairs} pairs the sign-flip test gives no p below {2 ** (1 - pairs):.3g}, so the intervals assume "
        "nearly normal differences. The pairs differ in their seed only; the data are the same.",
        "The verdicts are not corrected for the number of tests. "
        f"Of {len(found)} tests {len(decided)} are decided, and {after} remain decided after Holm's correction.",
    ]


def verdict_table(claims: Sequence[Claim]) -> list[list[str]]:
    """Return a header and a row for each claim."""
    ps = ["p", "p by sign flips", "p by Holm"]
    header = ["a GRU ...", "equal", "verdict", "effect", "95% interval", "holds", "pairs", *ps]
    return [header, *map(_row, claims)]


def _row(claim: Claim) -> list[str]:
    found = claim.finding
    row = [f"{claim.claim.removeprefix('a GRU ')}: {claim.measured}", claim.equal, claim.decision]
    if found is None:
        exact = "" if claim.means is None else f"{claim.means[0] / claim.means[1]:.4g}"
        return [*row, exact, *[""] * 6]
    ps = (found.p, found.p_signs, claim.p_holm if claim.p_holm is not None else 1.0)
    cells = (_number(claim, found.effect), _interval(claim), _needed(claim), str(found.pairs))
    return [*row, *cells, *(f"{p:.2g}" for p in ps)]


def fraction_effect_table(found: Comparison) -> list[list[str]]:
    """Return a header and a row for each fraction: the GRU's gap and loss minus the LSTM's."""
    every = by_fraction(found)
    header = [f"{claim.measured}, equal {claim.equal}" for claim in next(iter(every.values()))]
    rows = [[f"{100 * share:.3g}%", *map(_estimate, claims)] for share, claims in every.items()]
    return [["of the data", *header], *rows]


def _estimate(claim: Claim) -> str:
    found = claim.finding
    return "" if found is None else f"{_number(claim, found.effect)} ({_interval(claim)})"


def claims_to_dict(found: Comparison, claims: Sequence[Claim]) -> JsonObject:
    """Convert the claims to JSON values, with effects as factors or shares."""
    pairs = PairedRuns(found)
    own = {name: next(run for run in found.runs if run["cell"] == name) for name in pairs.names}
    keys = ("hidden_size", "parameters", "recurrent_parameters")
    return {
        "task": found.task,
        "networks": {name: {key: run[key] for key in keys} for name, run in own.items()},
        "seeds": sorted({run["seed"] for run in found.runs}),
        "fractions": pairs.shares,
        "claims": [_claim_to_dict(claim) for claim in claims],
        "method": describe_method(claims),
        "notes": list(found.notes),
    }


def _claim_to_dict(claim: Claim) -> JsonObject:
    """Convert a claim to JSON values."""
    values = asdict(claim)
    bounds, finding = values.pop("bounds"), values.pop("finding")
    if bounds is not None:
        low, high = (claim.displayed(bound) if abs(bound) != inf else None for bound in bounds)
        values |= {"holds_above": low, "holds_below": high}
    if finding is not None:
        del finding["decision"]
        values |= finding | {key: claim.displayed(finding[key]) for key in ("effect", "low", "high")}
    return values | {"sentence": verdict_sentence(claim)}


# -- tables ----------------------------------------------------------------------------------------


def network_table(found: Comparison) -> list[list[str]]:
    """Return a header and a row for each network: its size, speed and memory."""
    rows = []
    for name in found.cells:
        one = next(run for run in found.runs if run["cell"] == name)
        speed = found.spread(name, lambda run: 1000 * run["update_seconds"])
        whole = [run for run in found.runs if run["cell"] == name and run["share"] == 1.0]
        lags = (_lags([run.get(key) for run in whole]) for key in MEMORY.values())
        counts = (f"{one[key]:,}" for key in ("hidden_size", "recurrent_parameters", "parameters"))
        rows.append([name.upper(), *counts, str(speed), *lags])
    sizes = ["units", "recurrent parameters", "parameters"]
    return [["", *sizes, "ms per step", "memory halved", "to a twentieth"], *rows]


def _lags(lags: Sequence[float | None]) -> str:
    """Format the shortest and the longest memory lag."""
    known = [lag for lag in lags if lag is not None]
    if len(known) < len(lags):
        return f"{len(known)} of {len(lags)} measured"
    return f"{min(known):.3g} to {max(known):.3g}"


def fraction_table(found: Comparison) -> list[list[str]]:
    """Return a header and a row for each network and fraction: losses, their gap, and metrics."""
    metrics = list(found.runs[0]["model"])
    losses: dict[str, Callable[[JsonMapping], float]] = {
        "training loss": lambda run: run["train_loss"],
        "validation loss": lambda run: run["valid_loss"],
        "gap": lambda run: run["valid_loss"] - run["train_loss"],
    }
    rows = [
        [
            f"{name.upper()}, {100 * share:.3g}%",
            *(str(found.spread(name, value, share)) for value in losses.values()),
            *(str(found.metric(name, metric, share)) for metric in metrics),
        ]
        for share in PairedRuns(found).shares
        for name in found.cells
    ]
    return [["", *losses, *(f"{found.split} {metric}" for metric in metrics)], *rows]

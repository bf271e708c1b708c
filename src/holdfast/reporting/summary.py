"""Results in sentences, which claim no more than the numbers carry."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from holdfast._json import JsonMapping
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.statistics import LOWER_LOSS, SMALLEST_LOSS_EFFECT, failure_reason, paired_test
from holdfast.tasks.metrics import Metric, Scoreboard, Values

TIE = 0.01
"""Two values are equal where they differ by less than this share of the baseline's shortfall."""

VARIANTS = {
    "int8": "in int8",
    "cache": "with the neural cache",
    "dynamic": "with dynamic evaluation",
    "ngram": "with n-grams of the training sentences",
    "searched": "with the decoding you chose",
    "live": "streaming",
}
"""Other ways in which ``evaluate`` scores a model: key in its result -> the way in a sentence."""


def compared_with(
    board: Scoreboard, metric: Metric, own: float, baselines: Mapping[str, Values], how: str = ""
) -> str:
    """Return a clause that compares a model's value with the best baseline's.

    Args:
        board: names of the baselines.
        metric: what is compared.
        own: the model's value.
        baselines: name -> metrics.
        how: how the best baseline is used instead, as a clause.
    """
    name, bar = board.best(metric, baselines)
    label = board.label(name)
    if own == bar or abs(own - bar) < TIE * metric.shortfall(bar):
        return f"the best baseline, {label}, has {bar:.4g}: the two are as good as equal."
    gap = f"{abs(own - bar):.3g}" if metric.higher else f"{abs(own / bar - 1) if bar else 0:.1%}"
    if metric.better(own, bar):
        where = "above" if metric.higher else "below"
        return f"that is {gap} {where} the best baseline, {label} ({bar:.4g})."
    instead = f"use it instead{how}."
    if max(own, bar) > 2 * min(own, bar):
        where = "above" if metric.higher else "below"
        return f"the best baseline, {label}, has {bar:.4g}, far {where}: {instead}"
    where = "below" if metric.higher else "above"
    return f"that is {gap} {where} the best baseline, {label} ({bar:.4g}): {instead}"


def variants(metric: Metric, result: JsonMapping) -> list[str]:
    """Return a sentence for each other way in which the same model was scored."""
    own = result["model"][metric.name]
    values = {how: result[name][metric.name] for name, how in VARIANTS.items() if name in result}
    return [
        f"{how[0].upper()}{how[1:]} it is {value:.4g}{_change(own, value)}." for how, value in values.items()
    ]


def _change(own: float, value: float) -> str:
    if not own:
        return ""
    change = abs(value / own - 1)
    return f", {change:.2%} {'more' if value > own else 'less'}" if change >= 5e-5 else ", the same"


def epochs_done(result: JsonMapping) -> str:
    """Return how many epochs a run trained."""
    done = result["epochs_done"]
    return f"{done:.3g} epoch{'' if done == 1 else 's'}"


def weights_kept(result: JsonMapping) -> str:
    """Return which epoch's weights a run kept."""
    best, checkpoints = f"epoch {result['best_epoch']} was the best", result.get("checkpoints", 1)
    if checkpoints == 1:
        return best
    return f"{best}; the weights are the mean after the best {checkpoints}"


def best_cell(comparison: Comparison) -> str:
    """Return the cell with the lowest validation loss."""
    return min(comparison.cells, key=lambda c: comparison.spread(c, lambda run: run["valid_loss"]).mean)


def standings(comparison: Comparison, board: Scoreboard) -> list[str]:
    """Compare the best cell with the baselines, and with each other cell in pairs by seed."""
    best, metric = best_cell(comparison), board.metric(comparison.runs[0]["model"])
    own = comparison.metric(best, metric.name)
    sentences = [
        f"The cell with the lowest validation loss is {best.upper()}, "
        f"{metric.label} {own}; {compared_with(board, metric, own.mean, comparison.baselines)}"
    ]
    sentences += [_cells(comparison, metric, best, other) for other in comparison.cells if other != best]
    if {"gru", "lstm"} <= set(comparison.cells):
        sentences.append(
            f"Test the textbook claims about LSTM and GRU on your data: holdfast claims {comparison.task} ..."
        )
    return sentences


def _cells(comparison: Comparison, metric: Metric, one: str, other: str) -> str:
    """Return by how much one cell's shortfall is less than another's, as a share of the other's."""
    shortfalls = [
        {
            run["seed"]: metric.shortfall(run["model"][metric.name])
            for run in comparison.runs
            if run["cell"] == cell
        }
        for cell in (one, other)
    ]
    seeds = sorted(set(shortfalls[0]) & set(shortfalls[1]))
    size = abs(mean(shortfalls[1][seed] for seed in seeds)) if seeds else 0.0
    head = f"{one.upper()} compared with {other.upper()}"
    if len(seeds) < 2 or not size:
        return f"{head}: " + ("one seed cannot decide." if size else "no difference.")
    found = paired_test([(shortfalls[0][seed] - shortfalls[1][seed]) / size for seed in seeds], LOWER_LOSS)
    opposite = failure_reason(found, LOWER_LOSS).replace("the opposite is true", "worse")
    verdict = {"holds": "better", "does not hold": opposite or f"not better by {SMALLEST_LOSS_EFFECT:.0%}"}
    return (
        f"{head}, {comparison.split} {metric.shortfall_label}: {verdict.get(found.decision, found.decision)} "
        f"({found.effect:+.1%}, 95% interval {found.low:+.1%} to {found.high:+.1%}, {found.pairs} pairs)."
    )

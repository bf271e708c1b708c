"""Sentences on results claim no more than the numbers support."""

from typing import Any

import pytest

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import compared_with
from holdfast.tasks.forecast.task import Forecaster
from holdfast.tasks.metrics import Metric, Scoreboard


def result(mae: float, **baselines: float) -> dict[str, Any]:
    values = {name: {"mae": value} for name, value in baselines.items()}
    return {"split": "test", "windows": 9, "model": {"mae": mae}, "baselines": values}


@pytest.mark.parametrize(
    ("mae", "words"),
    [(0.5, "50.0% below"), (0.995, "as good as equal"), (1.5, "50.0% above"), (30.0, "far below")],
)
def test_the_best_baseline_is_the_bar(mae: float, words: str) -> None:
    (sentence,) = Forecaster.verdict(result(mae, last_value=2.0, linear=1.0))
    assert words in sentence and "linear model" in sentence


def test_the_command_that_uses_a_baseline_is_named_where_there_is_a_model() -> None:
    found = result(30.0, linear=1.0)
    assert "predict --method linear" in Forecaster.verdict(found)[0]
    assert "predict" not in Forecaster.verdict(found | {"split": "backtest"})[0]


def test_a_baseline_without_error_is_the_bar_too() -> None:
    assert "far below" in Forecaster.verdict(result(0.1, seasonal_naive=0.0))[0]
    assert "as good as equal" in Forecaster.verdict(result(0.0, seasonal_naive=0.0))[0]


@pytest.mark.parametrize(
    ("baselines", "sentence"),
    [
        ({"random_walk": 1.0}, "Nothing beat the random walk: these returns are not predictable"),
        (
            {"random_walk": 1.0, "drift": 0.99},
            "Nothing beat the mean return: these returns are not predictable",
        ),
        ({"random_walk": 1.0, "linear": 0.9}, "The network is no better than the random walk."),
        ({"random_walk": 1.2, "linear": 0.9}, "The network is 16.7% better than the random walk."),
    ],
)
def test_prices_are_compared_with_the_random_walk(baselines: dict[str, float], sentence: str) -> None:
    found = Forecaster.verdict(result(1.0, **baselines))
    assert found[1].startswith(sentence)


def test_the_direction_of_prices_is_named_where_every_run_has_one() -> None:
    runs = [run("gru", 1.0, 1.0, 1.2, seed) for seed in (0, 1)]
    comparison = Comparison("forecast", runs, {"random_walk": {"mae": 1.0}}, ())
    assert "direction" not in Forecaster.conclusions(comparison)[-1]
    for one in runs:
        one["model"]["direction"] = 0.25 + 0.5 * one["seed"]
    assert "direction right 50.0%" in Forecaster.conclusions(comparison)[-1]


def run(cell: str, mae: float, seconds: float, valid: float, seed: int) -> dict[str, Any]:
    parameters = {"gru": 3, "lstm": 4, "rnn": 1}[cell]
    rest = {"seconds_per_epoch": seconds, "valid_loss": valid, "train_loss": 1.0, "parameters": parameters}
    return {"cell": cell, "seed": seed, "share": 1.0, "split": "test", "model": {"mae": mae}, **rest}


def test_the_best_cell_is_compared_with_the_others_in_pairs() -> None:
    runs = [run("gru", 1.0, 1.0, 1.2, 0), run("gru", 2.0, 1.1, 1.3, 1)]
    runs += [run("lstm", 1.5, 3.0, 1.6, 0), run("lstm", 2.5, 3.1, 1.7, 1)]
    runs += [run("rnn", 1.0, 1.0, 2.0, 0), run("rnn", 9.1, 1.0, 2.0, 1)]
    found = Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ())
    assert found.gap("gru").mean == pytest.approx(0.25) and found.gap("lstm").mean == pytest.approx(0.65)
    best, lstm, rnn, pointer = Forecaster.conclusions(found)
    assert "The cell with the lowest validation loss is GRU" in best and "50.0% below" in best
    assert "GRU compared with LSTM, test MAE: better (-25.0%, 95% interval -25.0% to -25.0%, 2 pairs)" in lstm
    assert "GRU compared with RNN, test MAE: not decided (-70.3%" in rnn
    assert pointer.endswith("holdfast claims forecast ...")


def test_worse_and_equal_cells_are_named() -> None:
    runs = [run(cell, mae, 1.0, valid, seed) for seed in (0, 1, 2) for cell, mae, valid in CELLS]
    found = Forecaster.conclusions(Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ()))
    assert "GRU compared with LSTM, test MAE: worse (+100.0%" in found[1]
    assert "GRU compared with RNN, test MAE: no difference that matters (+0.0%" in found[2]


CELLS = (("gru", 2.0, 1.0), ("lstm", 1.0, 2.0), ("rnn", 2.0, 3.0))


def test_one_seed_cannot_decide() -> None:
    runs = [run("gru", 1.0, 1.0, 1.8, 0), run("lstm", 1.0, 2.0, 1.7, 0)]
    found = Forecaster.conclusions(Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ()))
    assert "LSTM compared with GRU: one seed cannot decide." in found


def test_perfect_cells_have_no_difference() -> None:
    runs = [run(cell, 0.0, 1.0, 1.0, seed) for cell in ("gru", "rnn") for seed in (0, 1)]
    assert "GRU compared with RNN: no difference." in Forecaster.conclusions(
        Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ())
    )


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (0.9868, "0.01 above"),
        (0.9768, "as good as equal"),
        (0.9767, "as good as equal"),
        (0.96, "0.0168 below"),
    ],
)
def test_a_metric_with_higher_is_better_compares_what_is_missing(own: float, words: str) -> None:
    metric = Metric("accuracy", "accuracy", "", direction="higher", perfect=1.0)
    board = Scoreboard((metric,), "examples", {"bag": "a bag"})
    sentence = compared_with(board, metric, own, {"bag": {"accuracy": 0.9768}, "most": {"accuracy": 0.1}})
    assert words in sentence and "a bag" in sentence


def test_far_below_is_reported_for_both_kinds() -> None:
    metric = Metric("bleu", "BLEU", "", direction="higher", perfect=100.0)
    board = Scoreboard((metric,), "pairs")
    assert "word_by_word, has 28, far above: use it instead" in compared_with(
        board, metric, 5.0, {"word_by_word": {"bleu": 28.0}}
    )

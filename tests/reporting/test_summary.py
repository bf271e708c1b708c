"""Plain words claim no more than the figures carry."""

from typing import Any

import pytest

from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import compared_with
from holdfast.tasks.forecast.summary import conclusions as claims
from holdfast.tasks.forecast.summary import verdict
from holdfast.tasks.metrics import Metric, Scoreboard


def result(mae: float, **baselines: float) -> dict[str, Any]:
    simple = {name: {"mae": value} for name, value in baselines.items()}
    return {"split": "test", "windows": 9, "model": {"mae": mae}, "baselines": simple}


@pytest.mark.parametrize(
    ("mae", "words"),
    [(0.5, "50.0% below"), (0.995, "no difference"), (1.5, "50.0% ABOVE"), (30.0, "far below")],
)
def test_the_best_baseline_is_the_bar(mae: float, words: str) -> None:
    (sentence,) = verdict(result(mae, last_value=2.0, linear=1.0))
    assert words in sentence and "linear model" in sentence


def test_the_command_that_uses_a_simple_method_is_named_where_there_is_a_model() -> None:
    found = result(30.0, linear=1.0)
    assert "predict --method linear" in verdict(found)[0]
    assert "predict" not in verdict(found | {"split": "backtest"})[0]


def test_a_baseline_without_error_is_the_bar_too() -> None:
    assert "far below" in verdict(result(0.1, seasonal_naive=0.0))[0]
    assert "no difference" in verdict(result(0.0, seasonal_naive=0.0))[0]


def test_prices_are_held_against_the_random_walk() -> None:
    assert "nothing to be had" in verdict(result(1.0, random_walk=1.0))[1]
    assert "10.0% better than the random walk" in verdict(result(0.9, random_walk=1.0))[1]


def run(cell: str, mae: float, seconds: float, valid: float, seed: int) -> dict[str, Any]:
    parameters = {"gru": 3, "lstm": 4, "rnn": 1}[cell]
    figures = {"seconds_per_epoch": seconds, "valid_loss": valid, "train_loss": 1.0, "parameters": parameters}
    return {"cell": cell, "seed": seed, "share": 1.0, "split": "test", "model": {"mae": mae}, **figures}


def test_the_best_cell_is_held_against_the_others_in_pairs() -> None:
    runs = [run("gru", 1.0, 1.0, 1.2, 0), run("gru", 2.0, 1.1, 1.3, 1)]
    runs += [run("lstm", 1.5, 3.0, 1.6, 0), run("lstm", 2.5, 3.1, 1.7, 1)]
    runs += [run("rnn", 1.0, 1.0, 2.0, 0), run("rnn", 9.1, 1.0, 2.0, 1)]
    found = Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ())
    assert found.gap("gru").mean == pytest.approx(0.25) and found.gap("lstm").mean == pytest.approx(0.65)
    best, lstm, rnn, pointer = claims(found)
    assert "The cell with the lowest validation loss: GRU" in best and "50.0% below" in best
    assert "GRU against LSTM, test MAE: better (-25.0%, 95 % interval -25.0% to -25.0%, 2 pairs)" in lstm
    assert "GRU against RNN, test MAE: not decided (-70.3%" in rnn
    assert pointer.endswith("holdfast claims forecast ...")


def test_worse_in_the_test_and_the_same_are_told() -> None:
    runs = [run(cell, mae, 1.0, valid, seed) for seed in (0, 1, 2) for cell, mae, valid in CELLS]
    told = claims(Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ()))
    assert "GRU against LSTM, test MAE: worse (+100.0%" in told[1]
    assert "GRU against RNN, test MAE: no difference that matters (+0.0%" in told[2]


CELLS = (("gru", 2.0, 1.0), ("lstm", 1.0, 2.0), ("rnn", 2.0, 3.0))


def test_one_seed_cannot_tell() -> None:
    runs = [run("gru", 1.0, 1.0, 1.8, 0), run("lstm", 1.0, 2.0, 1.7, 0)]
    told = claims(Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ()))
    assert "LSTM against GRU: one seed cannot tell." in told


def test_nothing_lacking_is_nothing_to_tell_apart() -> None:
    runs = [run(cell, 0.0, 1.0, 1.0, seed) for cell in ("gru", "rnn") for seed in (0, 1)]
    assert "GRU against RNN: nothing to tell apart." in claims(
        Comparison("forecast", runs, {"last_value": {"mae": 3.0}}, ())
    )


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (0.9868, "0.01 above"),
        (0.9768, "as good as equal"),
        (0.9767, "as good as equal"),
        (0.96, "0.0168 BELOW"),
    ],
)
def test_where_higher_is_better_what_lacks_counts(own: float, words: str) -> None:
    metric = Metric("accuracy", "accuracy", "", direction="higher", perfect=1.0)
    board = Scoreboard((metric,), "examples", {"bag": "a bag"})
    sentence = compared_with(board, metric, own, {"bag": {"accuracy": 0.9768}, "most": {"accuracy": 0.1}})
    assert words in sentence and "a bag" in sentence


def test_far_below_is_said_of_both_kinds() -> None:
    metric = Metric("bleu", "BLEU", "", direction="higher", perfect=100.0)
    board = Scoreboard((metric,), "pairs")
    assert "far above: use word_by_word instead" in compared_with(
        board, metric, 5.0, {"word_by_word": {"bleu": 28.0}}
    )

"""Old names of settings, flags and objects: files load silently, other uses name the new one."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path

import pytest
import torch

from holdfast import Forecaster, LanguageModel, SequenceClassifier, SpeechRecognizer, Translator, _deprecated
from holdfast.checkpoint import load_state, save_state
from holdfast.cli import main
from holdfast.config import load_config, save_config
from holdfast.errors import UserError
from holdfast.insight import Inspection, InspectionRequest, Steps, inspect, write
from holdfast.insight.analysis.results import AblatedComponent, Ablation, FeatureUnit, GradientFlow
from holdfast.tasks.classify.config import ClassifyConfig, ClassifyTraining
from holdfast.tasks.language.config import LanguageConfig
from holdfast.tasks.music.result import Composition
from holdfast.training.run_folder import check_resumed_settings


def test_an_old_file_loads_silently_and_is_written_with_the_new_names(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('task = "classify"\n[data]\nunit = "byte"\n[training]\nwatch = true\nmonitor = "error"\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = load_config(path, ClassifyConfig)
    assert (config.data.token, config.training.monitor, config.training.select_by) == ("byte", True, "error")
    save_config(path, "classify", config)
    text = path.read_text()
    assert 'token = "byte"' in text and "monitor = true" in text and 'select_by = "error"' in text
    assert "unit" not in text and "watch" not in text


def test_an_old_state_resumes(tmp_path: Path) -> None:
    old = {"watch": False, "monitor": "error", "learning_rate": 0.01}
    save_state(tmp_path, {}, {"training": old, "steps": 7})
    _, saved = load_state(tmp_path)
    check_resumed_settings(saved, ClassifyTraining(select_by="error", learning_rate=0.01, monitor=True), 7)
    with pytest.raises(UserError, match="select_by was error and is loss"):
        check_resumed_settings(saved, ClassifyTraining(learning_rate=0.01), 7)


def test_a_setting_under_both_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('task = "language"\n[text]\nunit = "byte"\ntoken = "word"\n')
    with pytest.raises(UserError, match=r"token must be set once\..*twice.*Remove the old name"):
        load_config(path, LanguageConfig)


def test_an_old_keyword_works_and_warns_at_the_line_that_gave_it() -> None:
    with pytest.warns(FutureWarning, match=r"^unit is now token; .*removed") as seen:
        assert LanguageModel(unit="word").config.text.token == "word"
    assert seen[0].filename == __file__
    with pytest.warns(FutureWarning, match="unit is now token"):
        assert LanguageModel(text={"unit": "word"}).config.text.token == "word"
    with pytest.warns(FutureWarning, match="normalise is now normalize"):
        assert SpeechRecognizer(normalise="none").config.data.normalize == "none"
    with pytest.warns(FutureWarning) as seen:
        training = SequenceClassifier(text="t", watch=True, monitor="error").config.training
    assert training.monitor is True and training.select_by == "error"
    assert [str(one.message).split(";")[0] for one in seen] == [
        "watch is now monitor",
        "monitor is now select_by",
    ]


def test_new_names_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SequenceClassifier(text="t", token="byte", monitor=True, select_by="error")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("train language a.txt --unit word", "train language a.txt --token word"),
        ("train language a.txt --unit=word", "train language a.txt --token=word"),
        ("train classify a.csv --watch --epochs 2", "train classify a.csv --monitor --epochs 2"),
        ("train classify a.csv --no-watch", "train classify a.csv --no-monitor"),
        ("train classify a.csv --monitor error", "train classify a.csv --select-by error"),
        ("train speech a.tsv --monitor=joint", "train speech a.tsv --select-by=joint"),
        ("train speech a.tsv --normalise none", "train speech a.tsv --normalize none"),
        ("predict runs/a --harmonise a.mid", "predict runs/a --harmonize a.mid"),
        ("inspect runs/a a.txt --beside runs/b", "inspect runs/a a.txt --compare-with runs/b"),
    ],
)
def test_an_old_flag_is_replaced_with_one_note(old: str, new: str) -> None:
    notes: list[str] = []
    assert _deprecated.renamed_flags(old.split(), notes.append) == new.split()
    pairs = zip(old.split(), new.split(), strict=True)
    before, after = next((a.split("=")[0], b.split("=")[0]) for a, b in pairs if a != b)
    assert notes == [f"note: {before} is now {after}"]


def test_a_new_flag_stays_and_prints_nothing() -> None:
    words = ["train", "classify", "a.csv", "--monitor", "--token", "word", "--select-by", "loss"]
    assert _deprecated.renamed_flags(words, pytest.fail) == words


def test_the_command_line_takes_an_old_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.txt"
    file.write_text("a few words of text\n" * 40)
    flags = ["--unit", "byte", "--hidden-size", "4", "--num-layers", "1", "--epochs", "1", "--steps", "8"]
    assert main(["train", "language", str(file), *flags, "--out", str(tmp_path / "run")]) == 0
    assert "note: --unit is now --token\n" in capsys.readouterr().err
    assert 'token = "byte"' in (tmp_path / "run" / "config.toml").read_text()


@pytest.mark.parametrize("task", ["language", "classify", "translate", "speech"])
def test_help_does_not_name_old_flags(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", task, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--token" in shown and "--monitor" in shown
    assert not any(f"{old} " in shown for old in ("--unit", "--watch", "--normalise"))


@pytest.mark.parametrize("part", sorted(_deprecated._OBJECTS))
def test_a_renamed_object_works_and_warns(part: str) -> None:
    module = f"holdfast.{part}"
    package = import_module(module)
    for old, new in _deprecated._OBJECTS[part].items():
        vars(package).pop(old, None)
        with pytest.warns(FutureWarning, match=rf"{module}\.{old} is now {module}\.{new};") as seen:
            old_object, new_object = getattr(package, old), getattr(package, new)
        assert old_object is new_object or issubclass(old_object, new_object)
        assert seen[0].filename == __file__


def test_old_arguments_of_insight_work_and_warn(tmp_path: Path) -> None:
    layer, steps = torch.nn.GRU(2, 3), Steps(["a", "b", "c"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        request = InspectionRequest(
            "title", layer, lambda: layer(torch.ones(3, 1, 2)), steps, several=None, draw=lambda folder: []
        )
        found = inspect(request)
        write(found, tmp_path, draw=request.extra_plots)
    assert found.title == "title" and (tmp_path / "report.html").exists()
    assert [str(one.message).split(";")[0] for one in seen] == [
        "InspectionRequest(draw=) is now InspectionRequest(extra_plots=)",
        "InspectionRequest(several=) is now InspectionRequest(feature_batch=)",
        "insight.inspect(request) is now insight.analyze(request)",
        "write(draw=) is now write(extra_plots=)",
    ]
    assert {one.filename for one in seen} == {__file__}


CLASSES = {
    "AblatedComponent": AblatedComponent,
    "Ablation": Ablation,
    "Composition": Composition,
    "FeatureUnit": FeatureUnit,
    "Forecaster": Forecaster,
    "GradientFlow": GradientFlow,
    "Inspection": Inspection,
    "InspectionRequest": InspectionRequest,
    "SequenceClassifier": SequenceClassifier,
    "SpeechRecognizer": SpeechRecognizer,
    "Task": LanguageModel,
    "Translator": Translator,
}


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [(owner, old, new) for owner, names in _deprecated._ATTRIBUTES.items() for old, new in names.items()],
)
def test_a_renamed_attribute_works_and_warns(owner: str, old: str, new: str) -> None:
    some = object.__new__(CLASSES[owner])
    assert hasattr(type(some), new) or new in type(some).__dataclass_fields__
    some.__dict__[new] = found = object()
    with pytest.warns(FutureWarning, match=rf"^{owner}\.{old} is now {owner}\.{new};") as seen:
        assert getattr(some, old) is found
    assert seen[0].filename == __file__


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(AttributeError, match="'LanguageModel' object has no attribute 'wish'"):
        LanguageModel().wish  # noqa: B018

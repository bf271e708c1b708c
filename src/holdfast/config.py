"""Settings of training, and any settings dataclass as a TOML file with checked names and types.

The fields of a settings dataclass are the flags of the command line, the schema of recipes, the
content of ``config.toml`` and the keywords of the Python class. Its "Attributes:" are the help.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, get_args, get_origin, get_type_hints

from holdfast._deprecated import renamed_settings
from holdfast._json import JsonMapping, JsonObject
from holdfast.errors import UserError
from holdfast.files import missing_file, unreadable, write_atomic
from holdfast.validation import did_you_mean, flag_name, invalid_setting, unknown_choice

FORMAT = 1
"""Version of the file format; a file with a greater number comes from a newer Holdfast."""

MAY_CHANGE = ("epochs", "patience", "budget", "device", "monitor")
"""Settings of :class:`Training` that a resumed run may change: its length, device and monitor."""


class DataclassInstance(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


C = TypeVar("C", bound=DataclassInstance)


@dataclass(kw_only=True)
class Training:
    """Training: AdamW with clipped gradients and early stopping; the best weights are kept.

    Attributes:
        epochs: maximum number of passes over the training split.
        batch_size: sequences in a batch.
        learning_rate: initial learning rate of AdamW.
        weight_decay: decoupled weight decay of AdamW.
        schedule: keep the learning rate constant, decay it to 0 along a cosine, or halve it after
            every 2 epochs in a row without improvement.
        clip: maximum norm of the gradient; 0 turns clipping off.
        patience: stop after this many epochs in a row without improvement.
        average: decay of the moving average of the weights, such as 0.999; 0 turns averaging off.
            Validation uses the averaged weights, and they are kept.
        checkpoints: average the weights of this many of the best epochs, and keep the average if
            it validates better than the best epoch alone.
        precision: fp32, or bf16 for matrix products in bfloat16 where the device is faster in it.
        seed: seed of all random numbers.
        budget: stop after this time, such as 90s, 10m or 2h30m, and keep the best weights.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps.
        monitor: warn during training of saturated gates, dead units, vanishing or exploding
            gradients, frozen weights and lost states. Does not change the result.

    Raises:
        UserError: a value is out of range; the error names the field.
    """

    epochs: int = 50
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "halve"] = "cosine"
    clip: float = 1.0
    patience: int = 8
    average: float = 0.0
    checkpoints: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    budget: str | None = None
    device: str = "auto"
    monitor: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "checkpoints"):
            _check_whole(name, getattr(self, name), 1)
        _check_whole("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise UserError("seed must be below 2**32.", f"It was {self.seed}.", "Give for example --seed 0.")
        for name, example in (("learning_rate", "0.001"), ("weight_decay", "0.01"), ("clip", "1.0")):
            _check_real(name, getattr(self, name), example)
        if self.learning_rate == 0:
            raise invalid_setting("learning_rate", "greater than 0", repr(self.learning_rate), "0.001")
        if isinstance(self.average, bool) or not 0 <= self.average < 1:
            raise invalid_setting("average", "in [0, 1)", repr(self.average), "0.999")
        _check_choice("precision", self.precision, ("fp32", "bf16"))
        _check_choice("schedule", self.schedule, ("constant", "cosine", "halve"))
        check_device(self.device)
        self.budget_seconds()

    def budget_seconds(self) -> float:
        """Return the budget in seconds, infinity if none is set."""
        return math.inf if self.budget is None else parse_duration(self.budget)


@dataclass(kw_only=True)
class Scoring:
    """Options of ``holdfast evaluate``.

    Attributes:
        int8: also evaluate with the recurrent layers in int8, to show what the rounding costs.
    """

    int8: bool = False


def check_device(name: object) -> None:
    """Check the name of a device.

    Raises:
        UserError: the name is not auto, cpu, cuda, cuda:NUMBER or mps.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(name)):
        raise invalid_setting("device", "auto, cpu, cuda, cuda:NUMBER or mps", repr(name), "auto")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``"90s"``, ``"10m"``, ``"1.5h"`` or ``"2h30m"``.

    Raises:
        UserError: the text is not a duration, or the duration is 0.

    Example:
        >>> parse_duration("2h30m")
        9000.0
    """
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s)?", str(text).strip())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise UserError(
            "A duration must be hours, minutes and seconds with their letters, and more than 0.",
            f"It was {text!r}.",
            "Give for example 90s, 10m, 1h or 2h30m.",
        )
    return total


def fractions(split: str) -> tuple[float, float, float]:
    """Return the training, validation and test fraction of a split such as ``"0.8/0.1/0.1"``.

    Raises:
        UserError: there are not three fractions, one of the first two is 0, or the sum exceeds 1.
    """
    try:
        train, valid, test = (float(part) for part in split.split("/"))
    except ValueError:
        train, valid, test = -1.0, -1.0, -1.0
    if not (train > 0 and valid > 0 and test >= 0) or train + valid + test > 1 + 1e-9:
        raise UserError(
            "A split must be train/valid/test: fractions with a sum of at most 1.",
            f"It was {split!r}.",
            "Give for example --split 0.9/0.05/0.05, or 0.9/0.1/0 for no test split.",
        )
    return train, valid, test


def save_config(path: Path, task: str, config: DataclassInstance) -> None:
    """Write a dataclass as TOML: ``format``, ``task``, and the fields that are not None.

    Raises:
        ValueError: the values cannot be read back from TOML, such as a field named ``format``.
        UserError: the file cannot be written.
    """
    import tomli_w

    values = _plain(config)
    text = tomli_w.dumps({"format": FORMAT, "task": task, **values})
    if {"format", "task"} & values.keys() or from_dict(
        type(config), tomllib.loads(text), str(path)
    ) != config:
        raise ValueError(f"{type(config).__name__} does not survive a round trip through TOML: {config}")
    write_atomic(path, text)


def load_config(path: Path, config_class: type[C]) -> C:
    """Load a ``config.toml`` or a recipe into its dataclass.

    Raises:
        UserError: see :func:`read_config` and :func:`from_dict`.
    """
    return from_dict(config_class, read_config(path)[1], str(path))


def read_config(path: Path) -> tuple[str, JsonObject]:
    """Return the task and the unchecked fields of a settings file, under their current names.

    Raises:
        UserError: the file is missing, is not TOML, names no task, or comes from a newer Holdfast.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        if not path.exists():
            raise missing_file(path, "file of settings") from error
        raise unreadable(path, error, "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} must be a TOML file.", f"It is not: {error}.", "Correct that line."
        ) from error
    check_format(values.get("format", FORMAT), str(path))
    task = values.get("task")
    if not isinstance(task, str):
        raise UserError(
            f"{path} must name its task.", f"It has task = {task!r}.", 'Write for example task = "forecast".'
        )
    return task, renamed_settings(values)


def check_format(number: object, where: str) -> None:
    """Check that this version can read a file's format.

    Raises:
        UserError: the number is greater than :data:`FORMAT`, or is not a positive whole number.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UserError(
            f"{where} must have a format number.", f"It was {number!r}.", f"Write format = {FORMAT}."
        )
    if number > FORMAT:
        raise UserError(
            f"{where} must have format {FORMAT} or lower.",
            f"It has format {number}: it comes from a newer Holdfast.",
            "Upgrade: pip install --upgrade holdfast.",
        )


def from_dict(config_class: type[C], values: JsonMapping, where: str) -> C:
    """Build a dataclass from plain values, as TOML gives them; ``format`` and ``task`` are ignored.

    Args:
        config_class: the dataclass; its fields may be dataclasses.
        values: field -> value; a mapping for a nested dataclass, a list or a tuple for a tuple.
        where: source of the values, for the messages.

    Raises:
        UserError: a field is unknown, missing or of the wrong type (``"3"`` is not a number), or
            the dataclass refuses a value.
    """
    from pydantic import TypeAdapter, ValidationError

    fields = {name: value for name, value in values.items() if name not in ("format", "task")}
    _check_names(config_class, fields, where, ())
    try:
        return TypeAdapter(config_class).validate_json(json.dumps(fields, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            raise UserError(cause.rule, f"In {where}: {cause.got}", cause.fix) from error
        name = ".".join(map(str, first["loc"]))
        missing = first["type"] == "missing"
        got = f"It is missing in {where}." if missing else f"In {where} it is {first['input']!r}."
        if first["type"] == "literal_error":
            refused = unknown_choice(
                name, str(first["input"]), re.findall("'(.*?)'", first["ctx"]["expected"])
            )
            raise UserError(refused.rule, got, refused.fix) from error
        raise UserError(f"{name} must be valid: {first['msg']}.", got, f"Correct {name}.") from error


class Setting(NamedTuple):
    """A field of a settings dataclass, with the nested dataclass ("" for none) that holds it."""

    name: str
    part: str
    hint: Any
    default: Any
    owner: type


def settings_of(config_class: type, part: str = "") -> list[Setting]:
    """Return every setting of a dataclass: its own fields, then those of nested dataclasses."""
    hints, own, nested = get_type_hints(config_class), [], []
    for field in dataclasses.fields(config_class):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            nested += settings_of(hint, field.name)
        else:
            default = None if field.default is dataclasses.MISSING else field.default
            own.append(Setting(field.name, part, hint, default, config_class))
    return own + nested


def merge_settings(config_class: type, values: JsonMapping, given: JsonMapping) -> JsonObject:
    """Return nested values with each given setting put into the nested dataclass that holds it."""
    merged = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    for setting in settings_of(config_class):
        table = merged.setdefault(setting.part, {}) if setting.part else merged
        if setting.name in given and isinstance(table, dict):  # from_dict refuses a part that is no table
            table[setting.name] = given[setting.name]
    return merged


def build_config(config_class: type[C], fields: JsonMapping) -> C:
    """Build a dataclass from keywords: each setting goes to the nested dataclass that holds it.

    Args:
        config_class: the dataclass.
        fields: setting -> value. One value stands for a tuple of one. A nested dataclass may be
            given whole, as itself or as a mapping.

    Raises:
        UserError: a setting is unknown; also see :func:`from_dict`.

    Example:
        >>> @dataclass
        ... class Config:
        ...     training: Training = dataclasses.field(default_factory=Training)
        ...     target: tuple[str, ...] = ()
        >>> config = build_config(Config, {"target": "temp", "epochs": 3})
        >>> config.target, config.training.epochs
        (('temp',), 3)
    """
    fields = renamed_settings(fields, warn=True)
    settings = {setting.name: setting for setting in reversed(settings_of(config_class))}
    parts = [field.name for field in dataclasses.fields(config_class) if field.name not in settings]
    for name in fields:
        if name not in settings and name not in parts:
            raise _unknown(name, [*reversed(settings), *parts], "What was given")
    several = {name for name in settings if get_origin(settings[name].hint) is tuple}
    given = {
        name: _plain((value,) if name in several and not isinstance(value, list | tuple) else value)
        for name, value in fields.items()
    }
    whole = {name: given.pop(name) for name in parts if name in given}
    return from_dict(config_class, merge_settings(config_class, whole, given), "what was given")


def _unknown(name: str, known: list[str], where: str) -> UserError:
    other = "Remove it, or upgrade Holdfast if a newer one wrote it."
    fix = did_you_mean(name.rpartition(".")[2], known, other)
    return UserError(f"A field must be one of {', '.join(known)}.", f"{where} has {name!r}.", fix)


def _check_names(config_class: type, values: JsonMapping, where: str, outer: tuple[str, ...]) -> None:
    hints = get_type_hints(config_class)
    known = [field.name for field in dataclasses.fields(config_class) if field.init]
    for name, value in values.items():
        if name not in known:
            raise _unknown(".".join((*outer, name)), known, where)
        if isinstance(value, Mapping):
            for nested in _dataclasses_in(hints[name]):
                _check_names(nested, value, where, (*outer, name))


def _dataclasses_in(hint: object) -> Iterator[type]:
    """Yield the dataclass in a type hint, alone or in ``X | None``."""
    for candidate in (hint, *(get_args(hint) if get_origin(hint) is not dict else ())):
        if isinstance(candidate, type) and dataclasses.is_dataclass(candidate):
            yield candidate


def _plain(value: Any) -> Any:
    """Return dataclasses as dicts without their None fields, tuples as lists, paths as text."""
    if dataclasses.is_dataclass(value):
        pairs = (
            (field.name, getattr(value, field.name)) for field in dataclasses.fields(value) if field.init
        )
        return {name: _plain(entry) for name, entry in pairs if entry is not None}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    return str(value) if isinstance(value, Path) else value


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise invalid_setting(name, f"a whole number of at least {least}", repr(value), str(max(least, 1)))


def _check_real(name: str, value: object, example: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= float(str(value)) < math.inf:
        raise invalid_setting(name, "a finite number of at least 0", repr(value), example)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise unknown_choice(flag_name(name), str(value), choices)

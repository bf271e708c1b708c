"""Parameters of the verbs: shared flags, and flags and values of a settings dataclass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter as Argument
from inspect import cleandoc, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from cyclopts import Group, Parameter

from holdfast._json import JsonMapping, JsonObject
from holdfast.config import (
    MAY_CHANGE,
    C,
    Setting,
    from_dict,
    merge_settings,
    read_config,
    settings_of,
)
from holdfast.errors import UserError
from holdfast.files import OutputFolder
from holdfast.tasks.registry import RUN_CONFIG, RUN_STATE, entry, load
from holdfast.validation import did_you_mean, flag_name

_FLAGS = "the flags"
"""Source of settings that come from the command line, for messages."""

Given = JsonMapping
"""Settings that were given on the command line: name -> value."""


# -- shared by several verbs -------------------------------------------------------------------------------------


def _split_commas(hint: object, tokens: Sequence[Any]) -> tuple[Any, ...]:
    """Convert ``--target a,b`` and ``--target a --target b`` to a tuple of two values."""
    entry = get_args(hint)[0]
    return tuple(entry(text.strip()) for token in tokens for text in token.value.split(",") if text.strip())


def _whole_number(_: object, tokens: Sequence[Any]) -> int:
    """Convert to int as Python does: ``2.5`` is refused, not rounded."""
    return int(tokens[0].value)


def switch(text: str) -> Parameter:
    """Return a flag without a value."""
    return Parameter(help=text, negative=(), show_default=False)


def several(text: str = "", show_default: Any = False) -> Parameter:
    """Return a flag with values that are separated by commas."""
    return Parameter(
        help=text, converter=_split_commas, metavar="A,B,...", negative=(), show_default=show_default
    )


def whole(text: str) -> Parameter:
    """Return a flag with a whole number."""
    return Parameter(help=text, converter=_whole_number)


Run = Annotated[Path, Parameter(help="Folder of a trained model.")]
Recipe = Annotated[Path | None, Parameter(help="TOML file with settings. Flags override it.")]
Overwrite = Annotated[bool, switch("Overwrite earlier results in --out.")]
Json = Annotated[bool, switch("Print one JSON object.")]
Cells = Annotated[tuple[str, ...], several("Cells to compare.", ",".join)]
Device = Annotated[str, Parameter(help="auto (a GPU if there is one), cpu, cuda, cuda:1 or mps.")]
Names = Annotated[tuple[str, ...], several()]
FLAT = Parameter(name="*")
"""Each field of the dataclass is a flag of its own."""


@dataclass(frozen=True)
class SplitFiles:
    """Files of the splits that are not cut from the data file."""

    valid: Annotated[Path | None, Parameter(help="File of the validation split.")] = None
    test: Annotated[Path | None, Parameter(help="File of the test split.")] = None


@dataclass(frozen=True)
class Earlier:
    """What to do with earlier results in the output folder."""

    resume: Annotated[bool, switch("Resume the work in --out.")] = False
    overwrite: Overwrite = False

    def check(self) -> None:
        """Refuse both flags together.

        Raises:
            UserError: both are given.
        """
        if self.resume and self.overwrite:
            raise UserError(
                "--resume must be given without --overwrite.",
                "--overwrite was given as well.",
                "Leave one of them out: --resume continues earlier work, --overwrite replaces it.",
            )


NO_FILES, NEW = SplitFiles(), Earlier()
"""Defaults."""


@dataclass(frozen=True)
class Experiment:
    """Flags of an experiment: its results and its settings."""

    out: Annotated[
        Path | None, Parameter(help="Folder of the results; runs/COMMAND-NAME when not given.")
    ] = None
    recipe: Recipe = None
    earlier: Annotated[Earlier, FLAT] = NEW
    json: Json = False

    def folder(self, name: str) -> OutputFolder:
        """Return the folder of the results: ``runs/NAME`` if it is not given.

        Raises:
            UserError: --resume and --overwrite are both given.
        """
        self.earlier.check()
        return OutputFolder(self.out or Path("runs") / name, self.earlier.overwrite, self.earlier.resume)


EXPERIMENT = Experiment()


def load_run(task: str, run: Path, device: str) -> Any:
    """Load the model of a run of this task onto a device."""
    model = load(run)
    if model.task != task:
        raise UserError(
            f"The run must be of the task {task}, as the flags are.",
            f"The run in {run} is of the task {model.task}.",
            f"Write {model.task} instead of {task}.",
        )
    return model.to(device)


def _with_data_help(argument: Argument, verb: str, task: str) -> Argument:
    """Return an argument of a verb; ``data`` gets the help of the task."""
    if argument.name != "data":
        return argument
    texts = entry(task)
    text = texts.predicts_from if verb == "predict" else texts.trains_on
    if verb == "evaluate":
        text += " When not given, the metrics are those of the test split."
    return argument.replace(annotation=Annotated[argument.annotation, Parameter(help=text)])


# -- flags from a settings dataclass -----------------------------------------------------------------------------


def help_texts(config_class: type) -> dict[str, str]:
    """Return name -> text from the "Attributes:" in the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for owner in reversed(config_class.__mro__):
        section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", cleandoc(owner.__doc__ or ""), re.MULTILINE)
        entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section[1] if section else "", re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def with_flags(verb: Callable[..., int], task: str, config_class: type) -> Callable[..., int]:
    """Return a verb with a task's settings as flags.

    Args:
        verb: called with its own arguments, ``task``, and ``given`` (settings of the command line).
        task: the task's name.
        config_class: the dataclass of the settings.
    """
    settings = settings_of(config_class)
    own = [
        _with_data_help(argument, verb.__name__, task)
        for argument in signature(verb, eval_str=True).parameters.values()
        if argument.name not in ("task", "given")
    ]
    flags = list(_flags(task, settings))
    names = {setting.name for setting in settings}

    def run(*positional: object, **arguments: object) -> int:
        given = {name: arguments.pop(name) for name in names & arguments.keys()}
        return verb(*positional, **arguments, task=task, given=given)

    run.__doc__ = f"{_headline(config_class)}\n\n{verb.__doc__}"
    run.__signature__ = signature(verb).replace(parameters=[*own, *flags], return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *flags)}
    return run


def _flags(task: str, settings: Sequence[Setting]) -> Iterator[Argument]:
    """Yield each setting as a keyword-only parameter; a dataclass is a group of the help."""
    helps = {setting.owner: help_texts(setting.owner) for setting in settings}
    groups: dict[type, Group] = {}
    for setting in settings:
        if setting.owner not in groups:
            title, order = (setting.part or task).capitalize(), 10 + len(groups)
            groups[setting.owner] = Group(title, help=_headline(setting.owner), sort_key=order)
        is_tuple = get_origin(setting.hint) is tuple
        kinds = get_args(setting.hint) or (setting.hint,)
        options = Parameter(
            help=helps[setting.owner].get(setting.name, ""),
            group=groups[setting.owner],
            converter=_split_commas if is_tuple else _whole_number if int in kinds else None,
            show_default=partial(_shown, _text(setting.default)) if setting.default else False,
            negative_iterable=(),
            metavar="A,B,..." if is_tuple else None,
            allow_leading_hyphen=setting.hint is str,
        )
        yield Argument(
            setting.name,
            Argument.KEYWORD_ONLY,
            default=setting.default,
            annotation=Annotated[setting.hint, options],
        )


def _shown(default: str, _: object) -> str:
    return default


def _headline(owner: type) -> str:
    return cleandoc(owner.__doc__ or "").partition("\n")[0]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


# -- settings from a recipe, an earlier run, and flags -----------------------------------------------------------


def build(config_class: type[C], task: str, given: Given, recipe: Path | None, data: Path) -> C:
    """Build the settings from a recipe and the flags, which override it.

    Args:
        config_class: the dataclass.
        task: its task.
        given: settings from the command line.
        recipe: a TOML file.
        data: the file whose columns the error lists if no target is named.

    Raises:
        UserError: the recipe is unreadable or of another task, or a setting is unknown or out of
            range.
    """
    values = {} if recipe is None else _read(recipe, task)
    needed = [setting for setting in settings_of(config_class) if setting.name == "target"]
    merged = merge_settings(config_class, values, given)
    if any(not (merged.get(setting.part) or {}).get("target") for setting in needed):
        raise _no_target(data)
    if recipe is not None:  # check the flags alone first: an error after that is in the recipe
        some = dict.fromkeys([setting.name for setting in needed], ("any",))
        _checked(config_class, merge_settings(config_class, {}, some | dict(given)), _FLAGS)
    return _checked(config_class, merged, _FLAGS if recipe is None else str(recipe))


def build_resumed(config_class: type[C], task: str, given: Given, folder: Path) -> C:
    """Build the settings of the run in a folder, with given ones that may change.

    Raises:
        UserError: the folder has no run, or another setting is given and differs from the run's.
    """
    if not (folder / RUN_CONFIG).exists() or not (folder / RUN_STATE).exists():
        raise UserError(
            "--resume must have a run to resume in the folder --out.",
            f"{folder} holds none." if folder.exists() else f"There is no folder {folder}.",
            "Name the run folder with --out, or leave --resume out to start a new run.",
        )
    values = _read(folder / RUN_CONFIG, task)
    old = _checked(config_class, values, str(folder / RUN_CONFIG))
    for setting in settings_of(config_class):
        name, before = setting.name, _value(old, setting)
        if name in given and name not in MAY_CHANGE and given[name] != before:
            raise UserError(
                f"A resumed run must keep its settings, except {', '.join(map(flag_name, MAY_CHANGE))}.",
                f"{flag_name(name)} is {_text(before)} in {folder}; the command gives {_text(given[name])}.",
                f"Leave {flag_name(name)} out, or start a new run with another --out.",
            )
    return _checked(config_class, merge_settings(config_class, values, given), _FLAGS)


def as_flags(config: object, names: Sequence[str], recipe: Path | None, task: str) -> list[str]:
    """Return the recipe and the settings that it or the defaults do not give, as flags."""
    settings = {setting.name: setting for setting in settings_of(type(config))}
    given = {} if recipe is None else _read(recipe, task)
    words = [] if recipe is None else ["--recipe", str(recipe)]
    for setting in (settings[name] for name in names if name in settings):
        value = _value(config, setting)
        before = (given.get(setting.part, {}) if setting.part else given).get(setting.name, setting.default)
        if value == (tuple(before) if isinstance(before, list) else before):
            continue
        if isinstance(value, bool):
            words.append(flag_name(setting.name if value else f"no_{setting.name}"))
        else:
            words += [flag_name(setting.name), _text(value)]
    return words


def _value(config: object, setting: Setting) -> object:
    return getattr(getattr(config, setting.part) if setting.part else config, setting.name)


def _no_target(data: Path) -> UserError:
    """Return the error for a missing ``--target``, with the file's columns; or the file's own error."""
    from holdfast.data.tabular.table import read_table

    columns = ", ".join(read_table(data).columns)
    return UserError(
        "A forecast must have a target column.",
        "No --target was given.",
        f"Give --target with one or more of the columns of {data}: {columns}.",
    )


def _read(path: Path, task: str) -> JsonObject:
    found, values = read_config(path)
    if found != task:
        raise UserError(
            f"The settings must be those of the task {task!r}.",
            f"{path} is of the task {found!r}.",
            did_you_mean(found, [task], f"Give a recipe with task = {task!r}."),
        )
    return values


def _checked(config_class: type[C], values: Given, where: str) -> C:
    try:
        return from_dict(config_class, merge_settings(config_class, values, {}), where)
    except UserError as error:  # "In the flags:" is no news on the command line
        raise UserError(error.rule, error.got.removeprefix(f"In {_FLAGS}: "), error.fix) from error

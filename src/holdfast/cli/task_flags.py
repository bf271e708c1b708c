"""Flags from a task's dataclass, and settings from a recipe, a run to go on with, and the flags that were given."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter as Argument
from inspect import cleandoc, signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from holdfast.config import MAY_CHANGE, from_dict, read_config
from holdfast.errors import UserError
from holdfast.tasks.registry import RUN_CONFIG, RUN_STATE

FLAGS = "the flags"
"""Where a setting came from, for messages."""

Values = Mapping[str, Any]


class Field(NamedTuple):
    """A setting: its name, the part of the configuration that holds it ("" for itself), type, default and help."""

    name: str
    part: str
    hint: Any
    default: Any
    help: str
    owner: type


def fields(config_class: type, part: str = "") -> Iterator[Field]:
    """Every setting of a dataclass: its own first, then those of the dataclasses in it."""
    hints, helps = get_type_hints(config_class), attributes(config_class)
    parts = {}
    for field in dataclasses.fields(config_class):
        hint = hints[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            parts[field.name] = hint
        else:
            default = None if field.default is dataclasses.MISSING else field.default
            yield Field(field.name, part, hint, default, helps.get(field.name, ""), config_class)
    for name, nested in parts.items():
        yield from fields(nested, name)


def attributes(config_class: type) -> dict[str, str]:
    """Name -> text from the "Attributes:" of the docstrings of a class and those that it stands on."""
    found: dict[str, str] = {}
    for owner in reversed(config_class.__mro__):
        section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", cleandoc(owner.__doc__ or ""), re.MULTILINE)
        entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section[1] if section else "", re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _headline(owner: type) -> str:
    """The first line of a class's docstring."""
    return cleandoc(owner.__doc__ or "").partition("\n")[0]


def _as_argument(field: Field, group: Group) -> Argument:
    """A setting as a keyword-only parameter from which a flag is made."""
    several = get_origin(field.hint) is tuple
    shown = ",".join(map(str, field.default)) if several else field.default
    options = Parameter(
        help=field.help,
        group=group,
        converter=split_commas if several else whole_number if int in _types(field.hint) else None,
        show_default=False if shown in (None, "", False) else lambda _: str(shown),
        negative_iterable=(),
        metavar="A,B,..." if several else None,
        allow_leading_hyphen=field.hint is str,
    )
    return Argument(
        field.name, Argument.KEYWORD_ONLY, default=field.default, annotation=Annotated[field.hint, options]
    )


def _types(hint: Any) -> tuple[Any, ...]:
    """The type itself, or those of a union."""
    return (hint,) if get_origin(hint) is None and not get_args(hint) else get_args(hint)


def split_commas(hint: Any, tokens: Sequence[Any]) -> tuple[Any, ...]:
    """``--target a,b`` and ``--target a --target b`` are both two values."""
    entry = get_args(hint)[0]
    return tuple(entry(text.strip()) for token in tokens for text in token.value.split(",") if text.strip())


def whole_number(_: Any, tokens: Sequence[Any]) -> int:
    """An int as Python reads it: ``2.5`` is refused, not rounded."""
    return int(tokens[0].value)


def with_flags(verb: Callable[..., int], task: str, config_class: type) -> Callable[..., int]:
    """A verb with a task's settings as flags.

    Args:
        verb: called with its own arguments, ``task``, and ``given``: the settings named on the command line.
        task: the task's name.
        config_class: the dataclass of its settings.
    """
    settings = list(fields(config_class))
    titles = list(dict.fromkeys((field.part or task, field.owner) for field in settings))
    groups = {
        owner: Group(title.capitalize(), help=_headline(owner), sort_key=10 + order)
        for order, (title, owner) in enumerate(titles)
    }
    own = [p for p in signature(verb, eval_str=True).parameters.values() if p.name not in ("task", "given")]
    flags = [_as_argument(field, groups[field.owner]) for field in settings]
    names = {flag.name for flag in flags}

    def run(*positional: Any, **arguments: Any) -> int:
        given = {name: value for name, value in arguments.items() if name in names}
        others = {name: value for name, value in arguments.items() if name not in names}
        return verb(*positional, **others, task=task, given=given)

    run.__doc__ = f"{_headline(config_class)}\n\n{verb.__doc__}"
    run.__signature__ = signature(verb).replace(parameters=[*own, *flags], return_annotation=int)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *flags)}
    return run


def default(config_class: type, name: str) -> Any:
    """The default of a setting, whichever part holds it."""
    return next(field.default for field in fields(config_class) if field.name == name)


def build(config_class: type, task: str, given: Values, recipe: Path | None, data: Path) -> Any:
    """Settings from a recipe and the flags, which override it.

    Args:
        config_class: the dataclass.
        task: its task.
        given: the settings named on the command line.
        recipe: a TOML file.
        data: the file whose columns are told when no target is named.

    Raises:
        UserError: an unreadable recipe or one of another task, an unknown field, or a value outside its rule.
    """
    values = {} if recipe is None else _read(recipe, task)
    merged = _merged(config_class, values, given)
    needed = [field for field in fields(config_class) if field.name == "target"]
    for field in needed:
        if not (merged.get(field.part) or {}).get("target"):
            raise _no_target(data)
    if recipe is not None:  # first the flags alone: what is wrong after that is wrong in the recipe
        some = {field.name: ("any",) for field in needed}
        _checked(config_class, _merged(config_class, {}, some | dict(given)), FLAGS)
    return _checked(config_class, merged, FLAGS if recipe is None else str(recipe))


def _no_target(data: Path) -> UserError:
    """The error for a missing ``--target``, with the columns of the file; or the file's own, raised."""
    from holdfast.data.tabular.table import read_table

    columns = ", ".join(read_table(data).columns)
    return UserError(
        "A column to forecast must be named.",
        "No --target was given.",
        f"Give --target with one or several of the columns of {data}: {columns}.",
    )


def build_resumed(config_class: type, task: str, given: Values, folder: Path) -> Any:
    """Settings of the run in a folder, with those of :data:`holdfast.config.MAY_CHANGE` that were given.

    Raises:
        UserError: no run in the folder, or another setting that is given and differs.
    """
    if not (folder / RUN_CONFIG).exists() or not (folder / RUN_STATE).exists():
        raise UserError(
            "--resume goes on with the run in the folder --out.",
            f"{folder} holds none." if folder.exists() else f"There is no folder {folder}.",
            "Give the run's folder with --out, or leave --resume out to begin a new one.",
        )
    values = _read(folder / RUN_CONFIG, task)
    old = _checked(config_class, values, str(folder / RUN_CONFIG))
    for field in fields(config_class):
        before = _value(old, field)
        if field.name in given and field.name not in MAY_CHANGE and given[field.name] != before:
            flag = "--" + field.name.replace("_", "-")
            raise UserError(
                f"A resumed run keeps its settings, but for {', '.join(MAY_CHANGE)}.",
                f"{flag} is {_text(before)} in {folder} and was given as {_text(given[field.name])}.",
                f"Leave {flag} out, or begin a new run with another --out.",
            )
    return _checked(config_class, _merged(config_class, values, given), FLAGS)


def told(config: Any, names: Sequence[str]) -> list[str]:
    """Those of some settings that differ from their defaults, as words of a command line."""
    values = {field.name: (_value(config, field), field.default) for field in fields(type(config))}
    words = []
    for name in names:
        value, default = values.get(name, (None, None))
        if value != default:
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, _text(value)]
    return words


def _value(config: Any, field: Field) -> Any:
    return getattr(getattr(config, field.part) if field.part else config, field.name)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(path: Path, task: str) -> dict[str, Any]:
    found, values = read_config(path)
    if found != task:
        near = get_close_matches(found, [task], 1)
        raise UserError(
            f"The settings of a {task} run are those of a {task} recipe.",
            f"{path} is of the task {found!r}.",
            f"Write task = {task!r} in it." if near else f"Take a recipe with task = {task!r}.",
        )
    return values


def _merged(config_class: type, values: Values, given: Values) -> dict[str, Any]:
    """Values with each given one put into the part that holds it."""
    merged = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    for field in fields(config_class):
        if field.name in given:
            table = merged.setdefault(field.part, {}) if field.part else merged
            if isinstance(table, dict):  # otherwise the check names the part
                table[field.name] = given[field.name]
    return merged


def _checked(config_class: type, values: Values, where: str) -> Any:
    nested: dict[str, Any] = {field.part: {} for field in fields(config_class) if field.part}
    try:
        return from_dict(config_class, nested | dict(values), where)
    except UserError as error:  # the flags need no saying
        raise UserError(error.rule, error.got.removeprefix(f"In {FLAGS}: "), error.fix) from error

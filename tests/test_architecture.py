"""The house rules, checked in the source: floors, forbidden imports, sizes, fast start."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import holdfast
from holdfast.tasks.registry import TASKS

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "holdfast"
NATIVE = ROOT / "csrc"

FLOORS = {
    0: "_deprecated _json _threads _typing data config files errors validation optional_imports",
    1: "nn.kernels nn.cells",
    2: "nn",
    3: "checkpoint training models decoding",
    4: "tasks.registry tasks.task tasks.contract tasks.dataset tasks.baselines tasks.metrics reporting"
    " insight",
    5: "tasks experiments",
    6: "cli bench demos info __main__ __init__",
}
"""Floor -> the parts on it: a part is a file of the package, a folder with all that is in it, or a
file or folder (``"tasks.task"``) that is on another floor than the folder that holds it."""

CORE = ("registry", "task", "dataset", "baselines", "metrics", "contract")
"""Files of ``tasks/`` that all tasks share. The registry names each task's modules as strings,
loaded at first use."""

FLOOR_OF = {part: floor for floor, parts in FLOORS.items() for part in parts.split()}
TORCH_FREE = (
    "holdfast",
    "holdfast.errors",
    "holdfast.config",
    "holdfast.cli",
    "holdfast.tasks",
    "holdfast.tasks.forecast.config",
    "holdfast.tasks.language.config",
    "holdfast.tasks.classify.config",
    "holdfast.tasks.translate.config",
    "holdfast.tasks.speech.config",
    "holdfast.tasks.music.config",
    "holdfast.experiments.probes.config",
)
HEAVY = ["torch", "lightning_fabric", "polars", "pandas", "scipy", "statsmodels", "sklearn", "matplotlib"]
NO_HEADERS = re.compile(r'#\s*include\s*[<"](Python\.h|nanobind|pybind11|torch|ATen|c10)')
MODULE_NAME = re.compile(r"(holdfast(?:\.\w+)+)(?::\w+)?")

PYTHON_FILES = sorted([*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


def module_name(path: Path) -> str:
    """``src/holdfast/data/splits.py`` -> ``holdfast.data.splits``; __init__ is its package."""
    return ".".join(["holdfast", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def part(module: str) -> str:
    """``holdfast.data.tabular.table`` -> ``data``, or ``data.tabular`` where FLOORS names it."""
    names = module.split(".")[1:] or ["__init__"]
    deeper = ".".join(names[:2])
    return deeper if deeper in FLOOR_OF else names[0]


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Return every module of Holdfast that a module names, in imports or in strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            yield from (imported(target, alias.name) for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.Constant) and (named := MODULE_NAME.fullmatch(str(node.value))):
            yield named[1]


def imported(target: str, name: str) -> str:
    """Return what ``from target import name`` loads: a submodule, a name's module, or target."""
    submodule = f"{target}.{name}"
    return submodule if submodule in MODULES or name == "_native" else target


def imports_of(module: str) -> set[str]:
    """Return the other modules of Holdfast that a module imports."""
    path = MODULES[module]
    tree = ast.parse(path.read_text())
    if module == "holdfast.tasks.registry":  # its strings are the table of tasks
        tree = ast.Module([node for node in tree.body if not isinstance(node, ast.Assign)], [])
    found = imports(tree, module, path.name == "__init__.py")
    return {name for name in found if name.split(".")[0] == "holdfast" and name != module}


IMPORTS = {module: imports_of(module) for module in MODULES}


def test_imports_are_found_in_functions_relative_and_in_strings() -> None:
    lines = (
        "from holdfast.nn import cells",
        "from ...data import table",
        "g('holdfast.errors', 'holdfast.files:write')",
    )
    text = "\n    ".join(["def f():", *lines])
    found = set(imports(ast.parse(text), "holdfast.nn.kernels.native", is_package=False))
    assert found >= {"holdfast.nn.cells", "holdfast.errors", "holdfast.files"}
    assert any(name.startswith("holdfast.data") for name in found)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module: str) -> None:
    assert part(module) in FLOOR_OF, f"{module} is on no floor: add {part(module)!r} to FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module: str) -> None:
    known = {name for name in IMPORTS[module] if part(name) in FLOOR_OF}
    upward = {name for name in known if FLOOR_OF[part(name)] > FLOOR_OF[part(module)]}
    assert not upward, f"{module} imports from a higher floor: {sorted(upward)}"


def test_packages_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        graph.setdefault(part(module), set()).update({part(name) for name in names} - {part(module)})
    list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("holdfast.tasks.")])
def test_tasks_do_not_import_each_other(module: str) -> None:
    task = module.split(".")[2]
    others = {name for name in IMPORTS[module] if name.startswith("holdfast.tasks.")}
    assert {name.split(".")[2] for name in others} <= {task, *CORE}, f"{module} imports {sorted(others)}"


@pytest.mark.parametrize("module", [m for m in MODULES if FLOOR_OF.get(part(m)) == 4])
def test_the_floor_below_the_tasks_imports_no_task(module: str) -> None:
    tasks = {name for name in IMPORTS[module] if name.startswith("holdfast.tasks.")}
    assert tasks <= {f"holdfast.tasks.{name}" for name in CORE}, f"{module} imports {sorted(tasks)}"


def test_only_the_native_kernel_imports_the_native_core() -> None:
    users = {module for module, names in IMPORTS.items() if "holdfast._native" in names}
    assert users <= {"holdfast.nn.kernels.binding"}


@pytest.mark.parametrize("path", sorted(NATIVE.glob("*.*")), ids=lambda path: path.name)
def test_the_native_core_uses_no_python_and_no_torch(path: Path) -> None:
    found = NO_HEADERS.findall(path.read_text())
    assert path.name == "bindings.cpp" or not found, f"{path.name} includes {found}"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    most = 400 if SOURCE in path.parents else 600  # a test file may list many cases
    assert lines <= most, f"{path.name} has {lines} lines, at most {most}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 60, f"{path.name}: {node.name} has {length} lines, at most 60"
            count = len(parameters(node))
            assert count <= 10, f"{path.name}: {node.name} has {count} parameters, at most 10"


NUMBERS = ("shape", "size", "tolist", "item", "numel", "dim", "numpy")
"""Attributes of a tensor that are not tensors."""


def is_tensor(node: ast.expr, tensors: set[str]) -> bool:
    """Return whether an expression is one of these names, or is computed from one of them."""
    match node:
        case ast.Name():
            return node.id in tensors
        case ast.Attribute():
            return node.attr not in NUMBERS and is_tensor(node.value, tensors)
        case ast.Call():
            return isinstance(node.func, ast.Attribute) and is_tensor(node.func, tensors)
        case ast.Subscript():
            return is_tensor(node.value, tensors)
        case ast.BinOp():
            return is_tensor(node.left, tensors) or is_tensor(node.right, tensors)
        case ast.UnaryOp():
            return is_tensor(node.operand, tensors)
    return False


def lengths_of_tensors(function: ast.FunctionDef) -> list[int]:
    """Return the lines with ``len`` of a parameter annotated as Tensor, or of a value from it."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    tensors = {a.arg for a in given if a.annotation and "Tensor" in ast.unparse(a.annotation).split(" | ")}
    found = []
    for node in sorted(
        (n for n in ast.walk(function) if isinstance(n, ast.Assign | ast.AnnAssign | ast.Call)),
        key=lambda n: n.lineno,
    ):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "len" and is_tensor(node.args[0], tensors):
                found.append(node.lineno)
        elif node.value is not None and is_tensor(node.value, tensors):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            tensors |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_length_of_a_tensor_is_found() -> None:
    lines = "def f(x: Tensor, rows: list[int]):\n    y = x[1:] * 2\n    len(rows)\n    len(x.shape)\n    len(y.relu())"
    (function,) = ast.parse(lines).body
    assert isinstance(function, ast.FunctionDef)
    assert lengths_of_tensors(function) == [5]


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("holdfast.models.", "holdfast.nn."))])
def test_forward_passes_take_no_length_of_a_tensor(module: str) -> None:
    """``len(tensor)`` is a constant to torch.export and ``tensor.size(0)`` is not."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.FunctionDef) and (node.name == "forward" or ".models." in module):
            found = lengths_of_tensors(node)
            assert not found, f"{module}: {node.name} calls len(tensor) in lines {found}; use .size(0)"


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names of a function's parameters, without ``self`` and ``cls``."""
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("module", TORCH_FREE)
def test_start_is_fast_because_nothing_heavy_is_imported(module: str) -> None:
    program = f"import sys, {module}; print(*({HEAVY} & sys.modules.keys()))".replace("[", "{").replace(
        "]", "}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"import {module} loads {done.stdout}"


@pytest.mark.parametrize("name", holdfast.__all__)
def test_public_names_load(name: str) -> None:
    value = getattr(holdfast, name)
    home = holdfast._HOMES.get(name)
    assert name in dir(holdfast)
    assert home is None or value is getattr(importlib.import_module(home), name)


def test_the_table_of_public_names_agrees_with_type_checkers() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    blocks = (node for node in tree.body if isinstance(node, ast.If))
    nodes = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {alias.name: node.module for node in nodes for alias in node.names} == holdfast._HOMES
    assert set(holdfast.__all__) == {*holdfast._HOMES, "__version__"}


def test_an_unknown_public_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="GRUU"):
        _ = holdfast.GRUU


def rules_of_errors(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and literal text of the first argument of each UserError and RowError."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UserError", "RowError"):
            texts = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            if isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                yield node.lineno, "".join(map(str, texts))


@pytest.mark.parametrize("module", MODULES)
def test_the_rule_of_an_error_contains_must(module: str) -> None:
    wrong = [
        (line, rule)
        for line, rule in rules_of_errors(ast.parse(MODULES[module].read_text()))
        if not re.search(r"\b(must|cannot)\b", rule)
    ]
    assert not wrong


@cache
def files_with_word() -> Counter[str]:
    """Return word -> number of files that hold it, among those that may use a module's name."""
    folders = [(ROOT / name).rglob("*") for name in ("src", "tests", "bench", "docs", "recipes")]
    files = [path for folder in folders for path in folder if path.suffix in (".py", ".md")]
    return Counter(word for path in files for word in set(re.findall(r"\w+", path.read_text("utf-8"))))


def functions_and_constants(tree: ast.Module) -> Iterator[str]:
    """Return a module's top-level names without classes, which may be types of results."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


@pytest.mark.parametrize("module", MODULES)
def test_names_used_in_one_file_are_private(module: str) -> None:
    names = functions_and_constants(ast.parse(MODULES[module].read_text()))
    assert not [name for name in names if not name.startswith("_") and files_with_word()[name] == 1]


FILES_OF_A_TASK = {
    *("__init__", "config", "dataset", "preprocessing", "task", "trainable", "baselines"),
    *("metrics", "predict", "plots", "report", "inspect"),
}
NEEDED = FILES_OF_A_TASK - {"baselines", "plots"}
OWN_SUBJECTS = {
    "forecast": {"ets", "linear"},
    "language": {"dynamic_evaluation", "generate", "neural_cache"},
    "classify": {"examples"},
    "translate": {"ibm_model1", "inference", "tokenizer"},
    "speech": {"decoder", "frontend", "segments", "spectral_features", "tokenizer"},
    "music": {
        *("backend", "features", "request", "result", "event_model", "piano_roll_model"),
    },
}
"""Further files of a task, each with its own subject."""


@pytest.mark.parametrize("task", TASKS)
def test_task_folders_have_the_same_file_names(task: str) -> None:
    names = {path.stem for path in (SOURCE / "tasks" / task).glob("*.py")}
    assert names - FILES_OF_A_TASK == OWN_SUBJECTS[task]
    assert names >= NEEDED

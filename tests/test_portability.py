"""Code has a fallback where it uses POSIX, and no page gives a path for POSIX only."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(text.split())


POSIX_MODULES = words("fcntl grp posix pty pwd readline resource syslog termios tty")
POSIX_OS = words(
    """
    chown chroot fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid
    getpgrp getpriority getuid initgroups killpg lchown mkfifo mknod nice posix_fadvise
    posix_spawn pread pwrite register_at_fork sched_getaffinity sched_setaffinity sched_yield
    sendfile setpgid setpriority setsid setuid statvfs sync sysconf ttyname umask uname wait
    wait3 wait4
    """
)
WINDOWS_SIGNALS = words("SIGABRT SIGBREAK SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN")
POSIX_PATHS = ("/tmp", "/var/", "/dev/", "/home/", "/etc/")


def assumptions(tree: ast.Module) -> Iterator[str]:
    """Yield the names a module uses that Windows lacks, each with its line."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node, guarded in walk(tree, guarded=False):
        if not guarded and id(node) not in docstrings and (found := assumption(node)):
            yield f"line {node.lineno}: {found}"


def walk(scope: ast.AST, guarded: bool) -> Iterator[tuple[ast.expr | ast.stmt, bool]]:
    """Yield every expression and statement, and whether code around it provides a fallback."""
    for node in ast.iter_child_nodes(scope):
        inside = guarded or falls_back(node)
        if isinstance(node, ast.expr | ast.stmt):
            yield node, inside
        yield from walk(node, inside)


def falls_back(node: ast.AST) -> bool:
    """Return whether a function or statement checks for a feature, or catches its absence."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.IfExp):
        return any(asks(child) for child in ast.walk(node))
    if isinstance(node, ast.Try):
        caught = {
            name.id for handler in node.handlers for name in ast.walk(handler) if isinstance(name, ast.Name)
        }
        return bool(caught & {"ImportError", "ModuleNotFoundError", "AttributeError", "OSError"})
    return False


def asks(node: ast.AST) -> bool:
    """Return whether a node is ``hasattr(os, ...)``, ``getattr(os, ..., x)`` or a platform name."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        module = node.args[0]
        of_system = isinstance(module, ast.Name) and module.id in ("os", "signal", "socket")
        return of_system and (
            node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
        )
    return isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.platform", "os.name")


def assumption(node: ast.expr | ast.stmt) -> str | None:
    """Return the name that a single node uses and Windows may lack, or None."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        modules = names if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "signal"):
            modules += [name for name in names if is_posix(node.module, name)]
        return next(
            (f"import {name}" for name in modules if name in POSIX_MODULES | POSIX_OS or name[:3] == "SIG"),
            None,
        )
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return ast.unparse(node) if is_posix(node.value.id, node.attr) else None
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("get_context", "set_start_method")):
        return ast.unparse(node) if "fork" in ast.unparse(node) else None
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(POSIX_PATHS):
        return repr(node.value)
    return None


def is_posix(module: str | None, name: str) -> bool:
    """Return whether a name of the modules os or signal is missing on Windows."""
    if module == "signal":
        return (name.startswith("SIG") and name not in WINDOWS_SIGNALS) or name in (
            "alarm",
            "pause",
            "setitimer",
        )
    return module == "os" and name in POSIX_OS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_no_code_assumes_posix(path: Path) -> None:
    found = list(assumptions(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found, f"{path}: {found}"


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "from resource import getrusage",
        "from os import fork",
        "from signal import SIGKILL",
        "import os\nos.fork()",
        "import os\ndef f():\n    return os.getuid()",
        "import signal\nhandled = (signal.SIGINT, signal.SIGUSR1)",
        "import signal\nsignal.alarm(1)",
        "open('/tmp/x')",
        "f'/tmp/{name}'",
        "multiprocessing.get_context('fork')",
    ],
)
def test_an_assumption_is_found(code: str) -> None:
    assert list(assumptions(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None",
        "import os\nif hasattr(os, 'fork'):\n    os.fork()",
        "import os\ncores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1",
        "import sys\ndef f():\n    if sys.platform == 'win32':\n        return None\n    return os.getuid()",
        "import signal\nhandled = (signal.SIGINT, signal.SIGTERM)",
        'def f():\n    """/tmp/x is an example."""',
    ],
)
def test_a_fallback_is_enough(code: str) -> None:
    assert not list(assumptions(ast.parse(code)))


@pytest.mark.skipif(os.name != "posix", reason="needs a system that has these names")
def test_the_names_exist() -> None:
    spelled = {name for name in POSIX_OS if hasattr(os, name)}
    assert len(spelled) > 30 and {"fork", "mkfifo", "getuid"} <= spelled
    assert {name for name in WINDOWS_SIGNALS if hasattr(signal, name)} >= WINDOWS_SIGNALS - {"SIGBREAK"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_path_of_the_environment_has_its_windows_form(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert ".venv/bin" not in text or ".venv\\Scripts" in text

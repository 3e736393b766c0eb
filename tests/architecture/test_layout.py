"""The house rules that a machine can hold: who imports whom, where pure code stays pure, how long things may get."""

import ast
import re
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

SOURCES = sorted(APP.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
RULES = [path for path in SOURCES if path.name in {"rules.py", "session.py"} or path.name.endswith("_rules.py")]
SCRIPTS = sorted(APP.rglob("*.lua"))

# What a rule may not know of: clock, dice, environment, I/O, and the event loop that leads to them.
IMPURE = {
    *("time", "random", "secrets", "uuid", "os", "sys", "io", "pathlib", "tempfile", "shutil", "subprocess"),
    *("socket", "ssl", "asyncio", "threading", "concurrent", "urllib.request", "http", "logging"),
    *("asyncpg", "redis", "httpx", "starlette", "uvicorn", "uvloop", "structlog", "prometheus_client"),
    *("app.clock", "app.settings", "app.storage", "app.embedded"),
}
IMPURE_CALLS = {"open", "print", "input", "now", "today", "utcnow", "getenv"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), name_of(path))


def imported(tree: ast.Module) -> set[str]:
    """Every module that is imported, at the top or inside, with all its parents."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(parts[:n]) for parts in (name.split(".") for name in names) for n in range(1, len(parts) + 1)}


def called(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            names.add(function.id if isinstance(function, ast.Name) else getattr(function, "attr", ""))
    return names


def dotted(tree: ast.Module) -> set[str]:
    """Every `a.b` that is read."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def test_imports_point_downwards_and_every_file_has_a_place():
    """The contract in pyproject.toml is exhaustive: a new file of app/ must be given a layer."""
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_rules_read_no_clock_no_dice_no_environment_and_do_no_io(path):
    tree = parsed(path)
    assert not imported(tree) & IMPURE
    assert not called(tree) & IMPURE_CALLS
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def test_the_test_above_can_fail():
    bad = ast.parse("from app import clock\nimport datetime\nasync def f(): return datetime.datetime.now()")
    assert imported(bad) & IMPURE
    assert called(bad) & IMPURE_CALLS
    assert RULES


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_files_and_functions_stay_short(path):
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_modules_begin_by_saying_what_they_own(path):
    assert ast.get_docstring(parsed(path)), "no docstring"


def test_only_settings_reads_the_environment():
    readers = [
        name_of(path)
        for path in SOURCES
        if path.name != "settings.py" and dotted(parsed(path)) & {"os.environ", "os.getenv", "os.environb"}
    ]
    assert readers == []


def test_only_the_clock_tells_the_time():
    """time.sleep and perf counters are not "what time is it"; naive and aware now() are."""
    asked = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
    tellers = [name_of(path) for path in SOURCES if path.name != "clock.py" and dotted(parsed(path)) & asked]
    assert tellers == []


def test_tests_wait_for_things_and_do_not_sleep():
    sleepers = [
        name_of(path)
        for path in TESTS
        if path.name != "waiting.py" and dotted(parsed(path)) & {"time.sleep", "asyncio.sleep"}
    ]
    assert sleepers == []


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_each_lua_script_says_its_keys_arguments_result_and_race(path):
    header = re.match(r"(?:--[^\n]*\n)+", path.read_text())
    assert header, "no header"
    for word in ("KEYS", "ARGV", "result", "race"):
        assert re.search(rf"\b{word}\b", header.group(), re.IGNORECASE), f"the header lacks {word}"


def test_nothing_is_left_to_do():
    """Marks of unfinished work, and the name of a place to hide things."""
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    vague = {"utils", "helpers", "common", "base", "manager", "service", "handler", "misc"}
    assert [name_of(path) for path in SOURCES if marks.search(path.read_text())] == []
    assert [name_of(path) for path in SOURCES if path.stem in vague] == []


def test_migrations_are_numbered_one_after_the_other():
    """Two of one number are run in the order of their names, which may be another than that of their landing. The
    second number has two, which are applied where there is a Hawker.
    """
    numbers = sorted(int(path.name[:4]) for path in (APP / "storage" / "migrations").glob("*.sql"))
    assert numbers == [1, 2, *range(2, len(numbers))]


def drawn_from(node: ast.AST) -> list[ast.AST]:
    """All of an expression but what stands within `sorted(...)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sorted":
        return []
    return [node, *(found for child in ast.iter_child_nodes(node) for found in drawn_from(child))]


def test_no_test_is_drawn_from_a_set():
    """The processes that share the tests must come to the same order, and a set has none."""
    is_set = (ast.Set, ast.SetComp)
    for path in TESTS:
        tree = parsed(path)
        sets = {
            name.id
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, is_set)
            for name in node.targets
            if isinstance(name, ast.Name)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "parametrize":
                drawn = [found for argument in call.args[1:] for found in drawn_from(argument)]
                assert not any(isinstance(one, is_set) for one in drawn), f"{name_of(path)}:{call.lineno}"
                assert not sets & {one.id for one in drawn if isinstance(one, ast.Name)}, (
                    f"{name_of(path)}:{call.lineno}"
                )

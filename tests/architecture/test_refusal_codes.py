"""Every code that the app refuses with has its line in the one table of HTTP statuses."""

import ast
from pathlib import Path

from app.http.problems import STATUS_OF, TITLE_OF

APP = Path(__file__).parents[2] / "app"
# Said on a socket only, never over HTTP.
SOCKET_ONLY = {"unknown_op"}


def codes_in(source: str) -> set[str]:
    """The literal first arguments of Refusal(…)."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Refusal" and call.args]
    return {call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)}


def test_every_code_has_a_status():
    missing = {}
    for file in APP.rglob("*.py"):
        unknown = codes_in(file.read_text()) - STATUS_OF.keys() - SOCKET_ONLY
        if unknown:
            missing[str(file.relative_to(APP))] = unknown
    assert not missing


def test_every_code_in_the_table_is_said_somewhere():
    words = "\n".join(file.read_text() for file in APP.rglob("*.py") if file.name != "problems.py")
    assert not [code for code in STATUS_OF if f'"{code}"' not in words]


def test_every_status_has_its_title():
    assert set(STATUS_OF.values()) == set(TITLE_OF) - {405} | {STATUS_OF["method_not_allowed"]}

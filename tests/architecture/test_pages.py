"""What every page keeps to: no markup from data, nothing inline or foreign, all modules asked for at once."""

import os.path
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "app" / "pages"
MODULES = sorted(PAGES.rglob("*.js"))
DOCUMENTS = sorted(PAGES.glob("*/index.html"))
STYLES = sorted(PAGES.rglob("*.css"))
LINES_MAX = 400
_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*?from "(\.[^"]+)";""", re.MULTILINE)
_MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\(|srcdoc")
_ELSEWHERE = re.compile(r"""["'(]\s*(?:https?:)?//(?!www\.w3\.org/)""")


def name(path: Path) -> str:
    """The path as a test's name."""
    return str(path.relative_to(PAGES))


def reached_from(entry: Path) -> set[Path]:
    """The module and all that it imports, at any depth."""
    found: set[Path] = set()
    ahead = [entry]
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead += [Path(os.path.normpath(module.parent / path)) for path in _IMPORT.findall(module.read_text())]
    return found


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_says_what_it_owns_and_makes_no_markup_of_data(module: Path) -> None:
    """textContent and attributes are the only way in for data."""
    text = module.read_text()
    assert text.startswith(("// ", "/**")), "begin with a paragraph"
    assert text.count("\n") <= LINES_MAX
    assert not _MARKUP.search(text)
    assert not _ELSEWHERE.search(text)


@pytest.mark.parametrize("style", STYLES, ids=name)
def test_a_style_loads_nothing_from_elsewhere(style: Path) -> None:
    """System fonts and own pictures only."""
    text = style.read_text()
    assert text.startswith("/* ")
    assert "@import" not in text
    assert not _ELSEWHERE.search(text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_document_has_nothing_inline_and_asks_for_its_modules_at_once(document: Path) -> None:
    """The policy forbids inline code, and a chain of imports would cost one round trip a link."""
    text = document.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)", text)
    assert not _ELSEWHERE.search(text)
    (entry,) = re.findall(r'<script type="module" src="/static/([^"]+)">', text)
    asked = {PAGES / path for path in re.findall(r'<link rel="modulepreload" href="/static/([^"]+)">', text)}
    assert asked == reached_from(PAGES / entry) - {PAGES / entry}
    for path in re.findall(r'(?:href|src)="/static/([^"]+)"', text):
        assert (PAGES / path).is_file(), path


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_page_imports_its_own_folder_and_what_is_shared(module: Path) -> None:
    """Pages do not reach into one another; what two of them need is in shared/."""
    folder = module.parent.name
    for path in reached_from(module):
        assert path.is_file(), path
        assert path.parent.name in {folder, "shared"}, path

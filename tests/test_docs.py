"""The modules that the pages for contributors name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search", "spaces", "tracking", "tests", "benchmarks")
FILES = [
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_module_that_a_page_names_exists(page):
    named = set(re.findall(r"`([\w/]+\.py)`", (ROOT / page).read_text()))
    assert named
    missing = [n for n in named if not any(f"/{file}".endswith(f"/{n}") for file in FILES)]
    assert not missing


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_class_that_a_page_names_exists(page):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`([A-Z][a-z]+\w*)(?:\.\w+)?`", text))
    code = "\n".join((ROOT / file).read_text() for file in FILES)
    assert named
    assert not [name for name in named if not re.search(rf"\b{name}\b", code)]

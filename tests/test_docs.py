"""What the documentation names is there: links, commands, options, messages, modules, classes."""

import ast
import importlib
import re
import shlex
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import typer.main
import yaml

import search
from docs import build
from search.cli.app import app
from tests.pages import ROOT, Block, blocks

INSTALLED = Path(search.__file__).parents[1]  # the packages may lie elsewhere than tests and docs
PACKAGES = (
    *(INSTALLED / package for package in ("search", "spaces", "tracking")),
    *(ROOT / folder for folder in ("tests", "benchmarks", "docs")),
)
CODE = {
    path.relative_to(folder.parent).as_posix(): path.read_text()
    for folder in PACKAGES
    for path in folder.rglob("*.py")
} | {path.name: path.read_text() for path in ROOT.glob("*.py")}
GUIDES = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
PAGES = [
    *GUIDES,
    "CHANGELOG.md",
    *(f"docs/decisions/{p.name}" for p in (ROOT / "docs" / "decisions").glob("*.md")),
]
OF_OTHER_PROGRAMS = {  # Docker's, kubectl's, MLflow's, pip's, Ray's and Slurm's
    *("--array", "--build-arg", "--cpus", "--follow", "--gpus", "--init", "--memory", "--nodes"),
    *(
        "--app-name",
        "--artifacts-destination",
        "--backend-store-uri",
        "--exclude-editable",
        "--head",
    ),
}
OF_SCRIPTS = {
    option
    for file, code in CODE.items()
    if file.startswith(("benchmarks/", "tests/browser/"))
    for option in re.findall(r"\"(--[\w-]+)\"", code)
}


def read(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_module_that_a_page_names_exists(page):
    named = set(re.findall(r"`([\w/]+\.py)`", read(page)))
    assert named
    missing = [n for n in named if not any(f"/{file}".endswith(f"/{n}") for file in CODE)]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_class_that_a_page_names_exists(page):
    named = set(re.findall(r"`([A-Z][a-z]+\w*)(?:\.\w+)?`", read(page)))
    code = "\n".join(CODE.values())
    assert named
    assert not [name for name in named if not re.search(rf"\b{name}\b", code)]


# Links


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+?) *$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return frozenset(re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_of_a_page_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page)) + re.findall(
        r'src="([^"]+)"', prose(page)
    )
    for target in targets:
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.resolve()), target


def test_every_page_is_on_the_site_and_the_site_has_no_others():
    text = re.sub(r"!!python/\S+", "", read("mkdocs.yml"))

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [p for e in (entry.values() if isinstance(entry, dict) else entry) for p in pages(e)]

    listed = pages(yaml.safe_load(text)["nav"])
    written = {p.name for p in (ROOT / "docs").glob("*.md")}
    notebooks = {f"{p.stem}.md" for p in (ROOT / "docs").glob("*.ipynb")}
    made = {*build.COPIED.values(), "commands.md", "api.md", "decisions/README.md"}
    assert len(listed) == len(set(listed))
    assert set(listed) == written | notebooks | made


# Commands and options


def command_lines() -> list[tuple[str, str]]:
    return [
        (page, command.removeprefix("foldwise "))
        for page in GUIDES
        for block in blocks(read(page))
        for command in block.commands
        if command.startswith("foldwise ")
    ]


GROUP = typer.main.get_command(app)
OPTIONS = {
    o for c in GROUP.commands.values() for p in c.params for o in (*p.opts, *p.secondary_opts)
}
OPTIONS |= {"--help", *(o for p in GROUP.params for o in p.opts)}


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_line_of_a_page_has_the_options_it_uses(page, line):
    first = re.split(r" (?:\||>|&&) ", line)[0].replace("&", "")
    name, *arguments = shlex.split(first)
    if name.startswith("--"):
        assert name in OPTIONS
        return
    command = GROUP.commands[name]
    parser = command.make_parser(command.context_class(command))
    options, left, _ = parser.parse_args(arguments)
    assert options or left == []


@pytest.mark.parametrize("page", GUIDES)
def test_every_option_that_a_page_names_is_one_of_a_command(page):
    spans = re.findall(r"`([^`\n]+)`", prose(page))
    ours = ("--", "foldwise ", *(f"{name} " for name in GROUP.commands))
    spans = [span for span in spans if span.startswith(ours)]  # `pip ...` has options of its own
    named = set(chain.from_iterable(re.findall(r"(?<![\w-])--[a-z][\w-]*", s) for s in spans))
    assert not named - OPTIONS - OF_OTHER_PROGRAMS - OF_SCRIPTS


@pytest.mark.parametrize("page", GUIDES)
def test_every_python_block_of_a_page_is_python_and_imports_what_there_is(page):
    for block in blocks(read(page)):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
                *("search", "spaces", "tracking"),
            ):
                module = importlib.import_module(node.module)
                assert not [a.name for a in node.names if not hasattr(module, a.name)], page


def test_the_reference_has_every_command_with_every_option_that_is_not_hidden():
    page = build.commands_page()
    for name, command in GROUP.commands.items():
        if command.hidden:
            continue
        part = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
        shown = [p for p in command.params if not getattr(p, "hidden", False)]
        assert not [p.name for p in shown if p.opts[0].startswith("-") and p.opts[0] not in part]


def test_the_reference_has_every_name_that_search_exports():
    headings = re.findall(r"heading: (\w+)", build.api_page())
    assert set(search.__all__) <= set(headings)


# Messages


@cache
def messages() -> frozenset[str]:
    """Return all texts of the code, with `...` for what is filled in."""
    return frozenset(
        _text(node)
        for file, code in CODE.items()
        if file.startswith(("search/", "spaces/", "tracking/"))
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant | ast.JoinedStr)
    )


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "..."


@pytest.mark.slow
@pytest.mark.parametrize(
    "quoted",
    [
        line
        for block in blocks(read("docs/troubleshooting.md"))
        if block.language == "text"
        for line in block.text.splitlines()
    ],
)
def test_every_message_that_is_explained_is_one_that_the_code_gives(quoted):
    assert any(quoted in message for message in messages())


def test_a_block_knows_its_file_and_its_commands():
    block = Block(
        "console", "$ foldwise ui  # a comment\noutput\n$ foldwise show a \\\n    --json\n"
    )
    assert block.commands == ["foldwise ui", "foldwise show a      --json"]
    assert Block("python", "# own.py\nimport x\n").file == "own.py"
    assert Block("python", "# a comment\n").file is None


SET_ELSEWHERE = ("n_features_in_", "feature_names_in_")  # by scikit-learn's `validate_data`


def documented(text: str, heading: str) -> list[str]:
    """Return the names that a docstring describes under a heading."""
    found = re.search(rf"^{heading}:\n(.*?)(\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^    (\w+):", found[1], re.MULTILINE) if found else []


def unknown_names(path: Path) -> list[str]:
    """Return the arguments and attributes that a module's docstrings describe and it lacks."""
    source = path.read_text()
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = ast.get_docstring(node) or ""
            whole = ast.get_source_segment(source, node) or ""
            described = [*documented(text, "Args"), *documented(text, "Attributes")]
            found += [
                f"{path.name}: {node.name} has no {name}"
                for name in described
                if len(re.findall(rf"\b{name}\b", whole)) < 2 and name not in SET_ELSEWHERE
            ]
    return found


@pytest.mark.slow
def test_every_argument_and_attribute_that_a_docstring_describes_exists():
    modules = chain.from_iterable(
        (ROOT / own).rglob("*.py") for own in ("search", "spaces", "tracking")
    )
    assert [*chain.from_iterable(map(unknown_names, modules))] == []

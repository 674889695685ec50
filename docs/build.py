"""Build the documentation's site in `build/site`, for `make docs`.

The pages of this folder and the README are copied to `build/docs`. What could differ from the code
is made anew each time: the commands' reference from the command line itself, the Python reference
from the names that the packages export, notebooks with the outputs they have. Zensical then makes
the site and refuses links that lead nowhere. Links out of the site are listed and not opened.
"""

import inspect
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer.main

import search
import spaces
from search.cli.app import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
OF_THE_NET = 'src="https://unpkg.com/iframe-worker/shim"'  # what Zensical's offline pages load
BRACES = str.maketrans("", "", "{}")  # that Typer puts around arguments
COPIED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def main() -> None:
    """Build the site.

    Raises:
        SystemExit: A link leads nowhere, an object of the reference is missing, or a page would
            need the network.
    """
    write_pages()
    zensical = Path(sys.executable).with_name("zensical")
    built = subprocess.run(
        [zensical, "build", "--strict", "--clean"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if built.returncode:  # the findings are printed; the traceback says nothing more
        sys.exit(built.stderr.strip().rpartition("\n")[2])
    keep_offline()
    print(f"Open {SITE / 'index.html'}")


def keep_offline() -> None:
    """Have the site load nothing from the net.

    Raises:
        SystemExit: A page would.
    """
    for page in SITE.rglob("*.html"):
        up = "../" * len(page.relative_to(SITE).parts[1:])
        text = page.read_text().replace(OF_THE_NET, f'src="{up}worker.js"')
        page.write_text(text)
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"https?:[^>]*>", text
        )
        loaded = [tag for tag in loaded if 'rel="canonical"' not in tag]
        if loaded:
            sys.exit(f"{page} would need the network: {loaded[0]}")


def write_pages() -> None:
    """Write all pages, and the addresses that they link to."""
    shutil.rmtree(PAGES, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.ipynb", "__pycache__", ".*")
    shutil.copytree(DOCS, PAGES, ignore=ignored)
    for page in PAGES.glob("*.md"):
        page.write_text(_relinked(page.read_text(), "../"))
    for source, page in COPIED.items():
        (PAGES / page).write_text(_relinked((ROOT / source).read_text(), "docs/"))
    for notebook in sorted(DOCS.glob("*.ipynb")):
        _write_notebook(notebook)
    (PAGES / "commands.md").write_text(commands_page())
    (PAGES / "api.md").write_text(api_page())
    addresses = sorted({a for p in PAGES.rglob("*.md") for a in _addresses(p.read_text())})
    (PAGES.parent / "external-links.txt").write_text("\n".join(addresses) + "\n")
    print(f"{len(addresses)} links lead out of the site: {PAGES.parent / 'external-links.txt'}")


def _relinked(text: str, prefix: str) -> str:
    """Return a page whose links lead to pages of the site.

    Args:
        text: The page as it is in the repository.
        prefix: What links to other pages begin with there.
    """
    for source, page in COPIED.items():
        text = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({page}", text)
    text = re.sub(rf'(\]\(|src="|srcset=")(?:\./)?{re.escape(prefix)}(?=[\w-])', r"\1", text)
    return re.sub(r"(\]\([\w/-]+)\.ipynb", r"\1.md", text)


def _addresses(text: str) -> list[str]:
    return re.findall(r"\]\((https?://[^)\s]+)\)", text)


def _write_notebook(path: Path) -> None:
    """Write a notebook as a page, with its pictures in a folder beside it."""
    import nbformat  # here, since tests of the other pages do without the extra `docs`
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    pictures = f"{path.stem}-pictures"
    resources = {"output_files_dir": pictures, "unique_key": path.stem}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources)
    for name, content in resources["outputs"].items():
        target = PAGES / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    note = f"This page is the notebook `docs/{path.name}`, as it was run.\n"
    title, _, rest = text.lstrip().partition("\n")
    (PAGES / f"{path.stem}.md").write_text(_relinked(f"{title}\n\n{note}{rest}", "../"))


# The reference of the commands


def commands_page() -> str:
    """Return the reference of all commands: what `--help` says, as a page."""
    group = typer.main.get_command(app)
    parts = [
        "# Commands\n",
        "What `foldwise COMMAND --help` says, made from the commands themselves.\n",
    ]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if command.hidden:
            continue
        context = command.context_class(command, info_name=f"foldwise {name}")
        pieces = " ".join(command.collect_usage_pieces(context))
        usage = f"foldwise {name} {pieces}".translate(BRACES)
        parts.append(f"## {name}\n\n```text\n{usage}\n```\n\n{_prose(command.help)}\n")
        parts += _panels(command, context)
        if command.epilog:
            parts.append(f"```text\n{command.epilog.strip()}\n```\n")
    return "\n".join(parts)


def _panels(command: Any, context: Any) -> list[str]:
    """Return a table of each group of a command's options."""
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False) or parameter.opts == ["--help"]:
            continue
        if parameter.param_type_name == "argument":
            shown, told = parameter.metavar or parameter.name.upper(), parameter.help or ""
            panel = "Arguments"
        else:
            shown, told = parameter.get_help_record(context)
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
        panels.setdefault(panel, []).append(f"| `{shown}` | {_cell(told)} |")
    return ["\n".join([f"| {panel} | |", "|---|---|", *rows, ""]) for panel, rows in panels.items()]


def _cell(text: str) -> str:
    return _prose(text).replace("\n", " ").replace("|", "\\|")


def _prose(text: str | None) -> str:
    """Return a help text as Markdown, in which nothing is taken for a tag."""
    quoted = re.split(r"(`[^`]*`|```.*?```)", inspect.cleandoc(text or ""), flags=re.DOTALL)
    return "".join(t if i % 2 else t.replace("<", "&lt;") for i, t in enumerate(quoted))


# The reference of the Python interface

OF_SEARCH = """# Python

The names of `search` and `spaces`, with what their code says of them.
[From Python](python.md) is the guide.

## search

```python
from search import run_study
```
"""
OF_SPACES = """
## spaces

To declare spaces of your own ([guide](models.md)).

```python
from spaces import Float, ImageInput, Int, Space
```
"""
OF_MODELS = """
## Exported models

```python
from search.export.predict import predict_arrays
```
"""
SEARCH = (
    *("run_study", "load_study", "compare_studies", "StudyResult", "StudySettings", "progress"),
    *("KerasSearchCV", "KerasSearchRegressorCV"),
    *("Notice", "FoldwiseError", "SettingsError", "DataError"),
)
SPACES = (
    *("Space", "Int", "Float", "Choice", "Boolean"),
    *("ImageInput", "TextInput", "TableInput", "SequenceInput", "DataSpec", "Published"),
)
MODELS = ("predict_arrays", "encode_rows")


def api_page() -> str:
    """Return the page from which mkdocstrings makes the reference of the Python interface."""
    exported = import_module("search.export.predict")
    return "".join(
        [
            OF_SEARCH,
            *(_reference(search, name) for name in sorted(search.__all__, key=_place)),
            OF_SPACES,
            *(_reference(spaces, name) for name in SPACES),
            OF_MODELS,
            *(_reference(exported, name) for name in MODELS),
        ]
    )


def _place(name: str) -> int:
    return SEARCH.index(name) if name in SEARCH else len(SEARCH)


def _reference(module: Any, name: str) -> str:
    thing = getattr(module, name)
    thing = thing if hasattr(thing, "__qualname__") else type(thing)
    where = f"{thing.__module__}.{thing.__qualname__}"
    return f"\n::: {where}\n    options:\n      heading: {name}\n      toc_label: {name}\n"


if __name__ == "__main__":
    main()

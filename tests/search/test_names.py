import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOREIGN = "def get_space(name):\n    return None\n"


def made(folder: Path, name: str, kind: str) -> Path:
    """Make a file, or a package, of somebody else's with a name of ours."""
    path = folder / f"{name}.py" if kind == "file" else folder / name / "__init__.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(FOREIGN)
    return path if kind == "file" else path.parent


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, where this project comes after what lies there."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["file", "package"])
@pytest.mark.parametrize("name", ["spaces", "tracking"])
def test_a_file_with_the_name_of_a_package_is_named_on_the_command_line(tmp_path, name, kind):
    stands = made(tmp_path, name, kind)
    ran = python(tmp_path, "-m", "search", "spaces")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith(f"Error: `{name}` must be this project's package")
    assert f"Python finds {stands} first" in ran.stderr
    assert "Rename that" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_from_python_it_is_named_too_also_where_it_was_imported_before(tmp_path):
    made(tmp_path, "spaces", "file")
    for code in ("from search import run_study", "import spaces; from search import run_study"):
        ran = python(tmp_path, "-c", code)
        assert "ImportError: `spaces` must be this project's package" in ran.stderr


@pytest.mark.slow
def test_a_folder_without_code_that_has_such_a_name_does_no_harm(tmp_path):
    (tmp_path / "tracking").mkdir()
    (tmp_path / "spaces").mkdir()
    ran = python(tmp_path, "-m", "search", "spaces")
    assert ran.returncode == 0, ran.stderr

"""Which files a space consists of, and that they are told from others."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from spaces.declaring.fingerprint import fingerprint, fingerprint_of
from spaces.declaring.importing import Code, find
from spaces.declaring.parameters import SpaceError


@pytest.fixture(autouse=True)
def _modules_stay_apart(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/__init__').replace('_of_', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return f"{folder / 'net.py'}:X"


@pytest.mark.parametrize(
    "line",
    [
        "import other_part",
        "import other_part as part, json",
        "from other_part import Y",
        "def build():\n    import other_part",
        "try:\n    import other_part\nexcept ImportError:\n    pass",
    ],
)
def test_modules_that_a_space_imports_belong_to_it_wherever_that_stands(tmp_path, line):
    target = write(tmp_path, net=f"{line}\nX = 1", other_part="import third_part", third_part="")
    found = fingerprint(target)
    assert list(found["files"]) == ["net.py", "other_part.py", "third_part.py"]
    assert found["packages"] == {}


def test_packages_beside_a_space_belong_to_it_with_what_they_import_from_themselves(tmp_path):
    target = write(
        tmp_path,
        net="from blocks.deep import Y\nX = 1",
        blocks__in__="",
        blocks_of_deep="from . import wide\nfrom .flat import Z",
        blocks_of_wide="",
        blocks_of_flat="",
        blocks_of_idle="",
    )
    assert list(fingerprint(target)["files"]) == [
        "blocks/__init__.py",
        "blocks/deep.py",
        "blocks/flat.py",
        "blocks/wide.py",
        "net.py",
    ]


def test_what_only_a_run_shows_belongs_to_it_too(tmp_path):
    source = "import importlib\nX = importlib.import_module('hidden_' + 'part').Y"
    target = write(tmp_path, net=source, hidden_part="Y = 1")
    assert list(fingerprint(target)["files"]) == ["net.py"]
    code = Code(target)
    with code.running() as found:
        assert found == 1
    loaded = [str(path) for path in code.sources]
    assert list(fingerprint(target, loaded)["files"]) == ["hidden_part.py", "net.py"]
    assert fingerprint_of(code) == fingerprint(target, loaded)


def test_installed_packages_and_this_project_are_no_seen_part(tmp_path):
    target = write(tmp_path, net="import numpy, json, keras\nfrom spaces import Space\nX = 1")
    assert list(fingerprint(target)["files"]) == ["net.py"]


@pytest.mark.slow
def test_of_an_installed_package_the_version_counts():
    found = fingerprint("rich.table:Table")
    assert found == {"files": {}, "packages": {"rich": version("rich")}}


def test_a_space_of_this_project_is_its_module():
    assert list(fingerprint("spaces.lenet:SPACE")["files"]) == ["spaces/lenet.py"]


@pytest.mark.parametrize(("text", "same"), [("X = 1  # one", True), ("X = 2", False)])
def test_comments_are_no_difference(tmp_path, text, same):
    before = fingerprint(write(tmp_path, net="X = 1"))["files"]["net.py"]
    now = fingerprint(write(tmp_path, net=text))["files"]["net.py"]
    assert before["sha256"] != now["sha256"]
    assert (before["syntax"] == now["syntax"]) is same


def test_a_run_sees_nothing_of_an_earlier_one_and_leaves_modules_as_they_were(tmp_path):
    target = write(tmp_path, net="import seen_part\nX = seen_part.SEEN", seen_part="SEEN = []")
    first = find(target)
    module = sys.modules["seen_part"]
    code = Code(target)
    for _ in range(2):
        with code.running() as found:
            assert found == []
            assert found is not first
            assert sys.modules["seen_part"] is not module
            found.append(1)
        assert sys.modules["seen_part"] is module


@pytest.mark.parametrize("where", ["bare_pack.bare", "bare_pack.bare.deep"])
def test_folders_without_an_init_in_a_package_are_run_again_like_the_rest(tmp_path, where):
    folder = tmp_path.joinpath(*where.split("."))
    folder.mkdir(parents=True)
    (tmp_path / "bare_pack" / "__init__.py").touch()
    (folder / "net.py").write_text("from . import part\nX = part.SEEN")
    (folder / "part.py").write_text("SEEN = []")
    sys.path.append(str(tmp_path))
    code = Code(f"{where}.net:X")
    for _ in range(3):
        with code.running() as found:
            assert found == []
            found.append(1)
    assert find(f"{where}.net:X") == []
    files = [f"{where.replace('.', '/')}/{name}.py" for name in ("net", "part")]
    assert set(files) <= set(fingerprint(f"{where}.net:X")["files"])


def test_functions_that_import_when_called_get_the_modules_of_their_run(tmp_path):
    source = "def X():\n    import late_part\n    return late_part.SEEN"
    target = write(tmp_path, net=source, late_part="SEEN = []")
    code = Code(target)
    for _ in range(2):
        with code.running() as found:
            found().append(1)
            assert found() == [1]


def test_code_that_cannot_be_run_twice_is_refused_with_the_rule(tmp_path):
    target = write(tmp_path, net="import sys\nassert not hasattr(sys, 'ran')\nsys.ran = X = 1")
    code = Code(target)
    try:
        with code.running():
            pass
        with pytest.raises(SpaceError, match="a second time, because the code"), code.running():
            pass
    finally:
        del sys.ran

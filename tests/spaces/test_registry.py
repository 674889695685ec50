import subprocess
import sys

import pytest

from spaces import SpaceError, absolute, get_space, names

OWN = """
from spaces import DataSpec, ImageInput, Int, Space

def build(parameters, data: DataSpec):
    raise NotImplementedError

SPACE = Space(name="own", dataset="digits", inputs=ImageInput(size=(8, 8)),
              parameters=(Int("units", 4, 8),), build=build, baselines={"small": {"units": %s}})
"""


@pytest.mark.slow
def test_every_named_space_loads_with_its_training_choices():
    for name in names():
        space = get_space(name)
        assert space.name == name
        assert {"optimizer", "learning_rate", "batch_size", "epochs"} <= set(space.names())


@pytest.mark.slow
def test_a_space_from_a_file_is_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN % 4)
    monkeypatch.chdir(tmp_path)
    reference = absolute("own.py:SPACE")
    monkeypatch.chdir("/")
    assert get_space(reference).name == "own"


@pytest.mark.slow
def test_a_space_from_a_module_beside_the_user_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_spaces.py").write_text(OWN % 4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert get_space("my_spaces:SPACE").name == "own"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("lenett", "no space is called"),
        ("no.such.module:SPACE", "cannot be imported"),
        ("spaces.lenet:NOTHING", "has nothing called"),
        ("spaces.lenet:build", "as a function it must take one argument, hp"),
        ("spaces.lenet:Published", "HyperModel (class or instance) or a function build(hp); it is"),
        ("spaces.declaring.training:FITTING", "it is of type tuple"),
        ("nowhere.py:SPACE", "there is no file nowhere.py"),
    ],
)
def test_what_is_no_space_is_refused(reference, words):
    with pytest.raises(SpaceError) as caught:
        get_space(reference)
    assert words in str(caught.value)


@pytest.mark.slow
def test_an_import_that_fails_names_the_line(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("x = 1\nx.y\nSPACE = x\n")
    with pytest.raises(SpaceError) as caught:
        get_space(f"{path}:SPACE")
    assert f"AttributeError: 'int' object has no attribute 'y' ({path}:2)" in str(caught.value)


@pytest.mark.slow
def test_a_space_that_imports_modules_of_earlier_versions_is_found(tmp_path):
    old = OWN.replace(
        "from spaces import DataSpec, ImageInput, Int, Space",
        "from spaces.inputs import DataSpec, ImageInput\n"
        "from spaces.parameters import Int\n"
        "from spaces.space import Space",
    )
    (tmp_path / "own.py").write_text(old % 4)
    assert get_space(f"{tmp_path / 'own.py'}:SPACE").name == "own"


@pytest.mark.slow
def test_a_file_finds_the_modules_beside_it(tmp_path, monkeypatch):
    (tmp_path / "beside_own.py").write_text("UNITS = 4\n")
    path = tmp_path / "own.py"
    path.write_text("from beside_own import UNITS\n" + OWN % "UNITS")
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert get_space(f"{path}:SPACE").baselines == {"small": {"units": 4}}


@pytest.mark.slow
def test_a_baseline_outside_its_own_space_is_refused(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN % 99)
    with pytest.raises(SpaceError, match=r"baseline small: `units` must be within 4\.\.8; got 99"):
        get_space(f"{path}:SPACE")


@pytest.mark.slow
def test_listing_spaces_imports_no_framework():
    code = (
        "import sys, spaces; [spaces.get_space(n) for n in spaces.names()];"
        "heavy = {'tensorflow', 'keras', 'optuna', 'keras_tuner', 'mlflow', 'sklearn', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

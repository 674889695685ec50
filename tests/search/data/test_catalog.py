import subprocess
import sys

import pytest

from search.data import entry_of, known
from search.errors import SettingsError


def test_the_named_datasets_are_listed_with_what_they_hold() -> None:
    listed = {entry.name: (entry.shape, entry.train, entry.test) for entry in known()}
    assert listed == {
        "digits": ((8, 8, 1), 1437, 360),
        "fashion_mnist": ((28, 28, 1), 60_000, 10_000),
        "mnist": ((28, 28, 1), 60_000, 10_000),
        "sst2": ((), 67_349, 872),
    }
    texts = entry_of("sst2")
    assert (texts.kind, texts.classes) == ("text", ("negative", "positive"))
    assert all(len(entry.classes) == 10 for entry in known() if entry != texts)


def test_hyphens_are_as_good_as_underscores() -> None:
    assert entry_of("fashion-mnist").name == "fashion_mnist"


def test_a_dataset_may_be_called_by_its_other_name() -> None:
    assert entry_of("SST-2").name == "sst2"


def test_an_unknown_name_gets_the_near_ones() -> None:
    with pytest.raises(SettingsError, match="'fashion_mnits'; did you mean fashion_mnist"):
        entry_of("fashion_mnits")


@pytest.mark.slow
def test_importing_the_package_brings_no_framework() -> None:
    code = (
        "import sys, search.data, search.data.folds; heavy = {'tensorflow', 'keras',"
        " 'tensorflow_datasets', 'sklearn', 'scipy'} & set(sys.modules); sys.exit(str(heavy) if"
        " heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

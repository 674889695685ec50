"""What can be said of Ray, whether or not it is installed."""

import importlib.util

import pytest

from search import executors
from search.errors import SettingsError
from search.executors import make_executor
from search.study.settings import validate
from tests.search.executors.contract import make_study

LENET = {"space": "lenet"}


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(executors, "missing_for", lambda name: "")
    monkeypatch.setattr("search.study.settings.missing_for", lambda name: "")


@pytest.fixture
def not_installed(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "ray" else found(name, *a)
    )


def test_where_ray_is_missing_the_message_says_what_to_install(not_installed):
    with pytest.raises(SettingsError, match=r'`--executor`: .*pip install "foldwise\[ray\]"'):
        validate(LENET | {"executor": "ray"})


def test_an_executor_made_in_python_says_so_too(not_installed, tmp_path):
    work, folder = make_study(tmp_path)
    with pytest.raises(SettingsError, match=r'pip install "foldwise\[ray\]"'):
        make_executor("ray", work, folder.worker_log)


@pytest.mark.parametrize(
    ("name", "value"), [("ray_address", "auto"), ("cpus_per_trial", 2), ("gpus_per_trial", 1.0)]
)
def test_what_is_rays_needs_ray(installed, name, value):
    option = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=f"`{option}`: needs a cluster; add `--executor ray`"):
        validate(LENET | {name: value})
    assert getattr(validate(LENET | {"executor": "ray", name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"), [("cpus_per_trial", 0), ("gpus_per_trial", -1), ("gpus_per_trial", 1.5)]
)
def test_an_impossible_share_is_refused(installed, name, value):
    with pytest.raises(SettingsError, match=f"`--{name.replace('_', '-')}`"):
        validate(LENET | {"executor": "ray", name: value})

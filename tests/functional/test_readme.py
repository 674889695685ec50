"""What the README shows is what there is."""

import gzip
import os
import re
from itertools import chain
from math import prod
from pathlib import Path

import pytest
import typer.main

from search.cli.app import app
from search.cli.output import DEFAULT_HOME
from search.data import known
from search.data.sources import OF_FILES
from search.executors import EXECUTORS
from search.study.drivers.catalog import DRIVERS
from search.study.pruners import PRUNERS
from spaces import get_space, names
from tests.pages import blocks, reader, section
from tracking.objectives import OBJECTIVES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SEARCHING = (ROOT / "docs" / "searching.md").read_text()
MODELS = (ROOT / "docs" / "models.md").read_text()
OWN_SPACE = re.search(r"```python\n# my_space\.py\n(.*?)```", MODELS, re.DOTALL)[1]


def test_the_readme_shows_commands_and_the_home():
    assert len(re.findall(r"^\$ foldwise ", README, re.MULTILINE)) >= 8
    assert Path("mlruns") == DEFAULT_HOME


def test_every_command_in_the_tables_exists():
    group = typer.main.get_command(app)
    table = README.split("## Commands")[1].split("Exit codes")[0]
    named = {
        word
        for row in re.findall(r"^\| (`[a-z].*?) \|", table, re.MULTILINE)
        for word in re.findall(r"`([a-z-]+)", row)
    }
    assert named == set(group.commands)
    options = {option for o in group.commands["run"].params for option in o.opts}
    rows = re.findall(r"^\| `(--[a-z-]+)", SEARCHING, re.MULTILINE)
    assert rows
    assert set(rows) <= options


CHOICES = {
    "--dataset": {*OF_FILES, *(entry.name for entry in known())},
    "--driver": {*DRIVERS, *chain(*DRIVERS.values())},
    "--executor": EXECUTORS,
    "--objective": OBJECTIVES,
    "--pruner": PRUNERS,
}


@pytest.mark.parametrize("option", CHOICES)
def test_every_choice_of_an_option_is_in_its_row_of_the_table(option):
    [row] = re.findall(rf"^\| `{option}`.*$", SEARCHING, re.MULTILINE)
    words = set(re.findall(r"[\w-]+", row))
    assert set(CHOICES[option]) <= words


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ("--dataset", OF_FILES),
        ("--driver", DRIVERS),
        ("--sampler", {*chain(*DRIVERS.values())}),
        ("--executor", EXECUTORS),
        ("--pruner", PRUNERS),
    ],
)
def test_the_help_names_every_choice(option, choices):
    command = typer.main.get_command(app).commands["run"]
    [told] = [parameter.help for parameter in command.params if option in parameter.opts]
    assert set(choices) <= set(re.findall(r"[\w-]+", told))


@pytest.mark.slow
def test_every_space_and_its_baselines_are_in_the_table():
    rows = README.split("## Spaces")[1].split("`spaces NAME`")[0]
    for name in names():
        [row] = re.findall(rf"^\| [^|]*`{name}`.*$", rows, re.MULTILINE)
        assert all(f"`{baseline}`" in row for baseline in get_space(name).baselines)


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.slow
def test_the_space_of_your_own_is_a_space(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(OWN_SPACE)
    assert get_space(f"{path}:SPACE").name == "one-layer"


@pytest.mark.slow
def test_the_space_of_your_own_can_be_searched(user):
    (user.folder / "my_space.py").write_text(OWN_SPACE)
    done = user.here(
        *("run", "--space", "my_space.py:SPACE", "--trials", "3", "--epochs", "2", "--folds", "2"),
        *("--set", "learning_rate=1e-4:1e-2", "--json"),
    )
    assert done.code == 0, done.err
    assert done.json["best"]["scores"]["cv_accuracy"] > 0.3
    assert done.json["trials"][0]["origin"] == "baseline:plain"


def a_tenth(source, folder):
    """Write the first tenth of IDX files to a folder: the final training has all samples."""
    folder.mkdir(parents=True)
    for file in source.glob("*-ubyte.gz"):
        with gzip.open(file) as opened:
            start = opened.read(4)
            sizes = [int.from_bytes(opened.read(4), "big") for _ in range(start[3])]
            kept = sizes[0] // 10
            head = start + b"".join(size.to_bytes(4, "big") for size in (kept, *sizes[1:]))
            (folder / file.stem).write_bytes(head + opened.read(kept * prod(sizes[1:])))


@pytest.mark.slow
def test_the_first_example_runs_as_it_stands(tmp_path):
    place = os.environ.get("SEARCH_DATA_DIR", "")
    if not place or not (Path(place) / "fashion_mnist").is_dir():
        pytest.skip("needs Fashion-MNIST in SEARCH_DATA_DIR")
    a_tenth(Path(place) / "fashion_mnist", tmp_path / "data" / "fashion_mnist")
    someone = reader(tmp_path, SEARCH_DATA_DIR=str(tmp_path / "data"))
    out = someone.follow(section(README, "In two minutes"))
    assert "8 of 8 trials are done" in out[0]
    assert (tmp_path / "model" / "model.keras").is_file()


@pytest.mark.slow
def test_the_examples_with_data_and_models_of_your_own_run_as_they_stand(tmp_path):
    reader(tmp_path).follow(section(README, "Your own data and models"))
    assert (tmp_path / "wine-model" / "model.keras").is_file()
    assert (tmp_path / "digits-model" / "model.keras").is_file()


def test_every_command_of_the_readme_is_in_a_part_that_is_run():
    run = section(README, "In two minutes") + section(README, "Your own data and models")
    shown = [command for block in blocks(README) for command in block.commands]
    assert shown == [command for block in blocks(run) for command in block.commands]

"""What is installed, where and in which versions: the files that say so agree."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from search.cli.app import app

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEPENDENCIES = [Requirement(text) for text in PROJECT["dependencies"]]
SCALING = (ROOT / "docs" / "scaling.md").read_text()


def pins(path: Path) -> dict[str, Version]:
    """Return the version of each package that a file names."""
    found = {}
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    for one in map(Requirement, filter(None, lines)):
        [pin] = one.specifier
        assert pin.operator == "=="
        assert one.url is None
        found[canonicalize_name(one.name)] = Version(pin.version)
    return found


def of_extras(*names: str) -> list[Requirement]:
    asked = [Requirement(text) for name in names for text in EXTRAS[name]]
    inner = [one.extras for one in asked if one.name == "foldwise"]
    own = [one for one in asked if one.name != "foldwise"]
    return own + [one for extras in inner for one in of_extras(*sorted(extras))]


@pytest.mark.parametrize("name", ["constraints.txt", ".ci/lowest.txt"])
def test_any_index_has_the_pinned_versions(name):
    found = pins(ROOT / name)
    assert len(found) > 100
    local = {name: str(pin) for name, pin in found.items() if pin.local}
    assert local == {}  # such as torch's `+cpu`, which public indexes refuse


def test_every_dependency_is_pinned_within_its_bounds():
    found = pins(ROOT / "constraints.txt")
    for one in [*DEPENDENCIES, *of_extras("dev", "gp")]:
        assert found[canonicalize_name(one.name)] in one.specifier, one


def test_both_builds_of_tensorflow_are_pinned_to_one_version():
    found = pins(ROOT / "constraints.txt")
    assert found["tensorflow"] == found["tensorflow-cpu"]


def test_the_lowest_versions_that_are_tested_are_the_bounds():
    found = pins(ROOT / ".ci" / "lowest.txt")
    for one in [*DEPENDENCIES, *of_extras("tfds", "formats")]:
        [bound] = [part.version for part in one.specifier if part.operator == ">="]
        assert found[canonicalize_name(one.name)].release[:2] == (*Version(bound).release, 0)[:2], (
            one
        )


def test_the_classifiers_name_the_versions_of_python_that_are_allowed():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert named == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed]


def test_no_extra_brings_a_second_package_with_tensorflows_module():
    names = {one.name for extra in EXTRAS for one in of_extras(extra)}
    assert not {name for name in names if re.match(r"(tensorflow|tf)-(cpu|gpu|rocm|nightly)", name)}


# What `make` installs.


@pytest.fixture
def checkout(tmp_path):
    """Return a function that tells what `make TARGET` would do in a new checkout."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def told(target: str, *present: str) -> str:
        for name in present:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        command = ["make", "--no-print-directory", "--dry-run", target]
        environment = {name: text for name, text in os.environ.items() if name != "MAKEFLAGS"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    return told


def test_make_search_says_what_it_takes_and_installs_no_developers_tools(checkout):
    told = checkout("search")
    assert told.index("GB of disk") < told.index("install --quiet")
    assert "[dev]" not in told
    assert told.index("install --quiet") < told.index("-m search run")


def test_make_search_takes_the_developers_environment_where_there_is_one(checkout):
    told = checkout("search", ".venv/bin/python", ".venv/.ready")
    assert "install" not in told
    assert "-m search run" in told


def test_make_test_installs_the_developers_tools(checkout):
    told = checkout("test")
    assert told.index("GB of disk") < told.index('-e ".[dev]"') < told.index("-m pytest")


# What is published.


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return a function that builds sdist and wheel, and gives their metadata and files."""
    if Version(version("setuptools")) < Version("77"):
        pytest.skip("setuptools 77 is not installed")
    made = {}

    def build(address: str) -> tuple[str, str, list[str]]:
        if address not in made:
            made[address] = _built(tmp_path_factory.mktemp("published"), address)
        return made[address]

    return build


def _built(folder: Path, address: str) -> tuple[str, str, list[str]]:
    source = folder / "source"
    skipped = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, source, ignore=skipped)
    code = (
        "from setuptools import build_meta as made;"
        "print(made.build_sdist('dist'), made.build_wheel('dist'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=source,
        env={**os.environ, "FOLDWISE_REPOSITORY": address},
        capture_output=True,
        text=True,
        check=True,
    )
    sdist, wheel = (source / "dist" / name for name in done.stdout.split()[-2:])
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        first = archive.getnames()[0].partition("/")[0]
        kept = archive.extractfile(f"{first}/PKG-INFO").read().decode()
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return kept, archive.read(name).decode(), names


LINKS = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.slow
def test_a_source_distribution_has_tests_and_docs(published):
    _, _, names = published("")
    assert {
        "tests/test_installation.py",
        "tests/functional/test_main_job.py",
        "docs/images/compare.png",
        "docs/tour.ipynb",
        "benchmarks/startup.py",
        "constraints.txt",
        "Makefile",
        ".ci/lowest.txt",
        "search/py.typed",
    } <= set(names)
    assert not [name for name in names if name.endswith(".pyc")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "remote",
    [
        "https://example.org/someone/foldwise.git",
        "https://someone:secret@example.org/someone/foldwise",
        "git@example.org:someone/foldwise.git",
        "ssh://git@example.org/someone/foldwise.git",
        "ssh://git@example.org:2222/someone/foldwise.git",
    ],
)
def test_an_index_shows_links_in_full_and_the_projects_addresses(published, remote):
    address = "https://example.org/someone/foldwise"
    for text in published(remote)[:2]:
        message = HeaderParser().parsestr(text)
        assert f"Repository, {address}" in message.get_all("Project-URL")
        links = LINKS.findall(message.get_payload())
        assert f"{address}/blob/HEAD/docs/models.md" in {link.partition("#")[0] for link in links}
        assert not [one for one in links if not one.startswith(("https://", "http://", "#"))]
        assert "secret" not in text


@pytest.mark.slow
def test_without_an_address_an_index_shows_no_link_that_leads_nowhere(published):
    message = HeaderParser().parsestr(published("")[1])
    assert message.get_all("Project-URL") is None
    links = LINKS.findall(message.get_payload())
    assert not [one for one in links if not one.startswith(("https://", "http://", "#"))]
    assert "](docs/" not in message.get_payload()
    assert "docs/models.md" in message.get_payload()


# Where it does not run.


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


WINDOWS = "import sys; sys.platform = 'win32'; "


def test_windows_is_refused_in_one_sentence_on_the_command_line():
    ran = python(f"{WINDOWS}from search.__main__ import main; main()")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Error: Foldwise needs Linux or macOS")
    assert "WSL 2" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_windows_is_refused_from_python():
    ran = python(f"{WINDOWS}from search import run_study")
    assert "ImportError: Foldwise needs Linux or macOS" in ran.stderr


# Recipes.


def parsed(line: str) -> None:
    """Parse a command line of `foldwise`; what is wrong with it raises."""
    group = typer.main.get_command(app)
    name, *arguments = shlex.split(line, comments=True)
    command = group.commands[name]
    command.make_parser(command.context_class(command)).parse_args(arguments)


def test_the_commands_for_slurm_are_ours_and_bash_can_read_them(tmp_path):
    scripts = re.findall(r"```bash\n(.*?)```", SCALING, re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True)
        lines = script.replace("\\\n", " ").splitlines()
        [line] = [line for line in lines if re.match(r"(srun )?foldwise ", line)]
        parsed(line.partition("foldwise ")[2])


def test_the_manifest_for_kubernetes_keeps_the_home_on_its_volume():
    [text] = re.findall(r"```yaml\n(.*?)```", SCALING, re.DOTALL)
    claim, job = yaml.safe_load_all(text)
    pod = job["spec"]["template"]["spec"]
    [container], [volume] = pod["containers"], pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert [(one["name"], one["mountPath"]) for one in container["volumeMounts"]] == [
        (volume["name"], re.search(r"^WORKDIR (.*)$", DOCKERFILE, re.MULTILINE)[1])
    ]
    parsed(shlex.join(container["args"]))
    assert pod["securityContext"]["runAsUser"] == int(
        re.search(r"^USER (\d+)$", DOCKERFILE, re.M)[1]
    )


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_container_runs_the_main_job_as_a_user_without_rights():
    told = DOCKERFILE.replace("\\\n", " ").splitlines()
    words = dict(line.split(maxsplit=1) for line in told if line and line[0].isupper())
    assert int(words["USER"]) >= 1000
    assert yaml.safe_load(words["ENTRYPOINT"]) == ["foldwise"]
    parsed(shlex.join(yaml.safe_load(words["CMD"])))


def test_the_container_is_made_of_files_that_docker_is_given():
    given = (ROOT / ".dockerignore").read_text().split()
    assert given[0] == "*"
    named = {name[1:] for name in given if name.startswith("!")}
    patterns = SETTINGS["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.rstrip("*") for pattern in patterns}
    assert {*packages, "pyproject.toml", "setup.py", "README.md"} <= named
    assert all((ROOT / name).exists() for name in named - packages)

"""What the pages for newcomers show works as it is written."""

import pytest

from search.studies import known_study
from tests.pages import ROOT, blocks, reader, section
from tracking.home import Home

START = (ROOT / "docs" / "start.md").read_text()
COMING = (ROOT / "docs" / "coming-from.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "study"),
    [
        ("A CSV file", "mlp-wine"),
        ("A folder of pictures", "cnn-pictures"),
        ("Arrays in a notebook", "arrays"),
        ("A Keras function", "my-model"),
    ],
)
def test_every_way_to_start_works_as_it_is_written(title, study, tmp_path):
    reader(tmp_path).follow(section(START, title))
    best = known_study(Home(tmp_path / "mlruns"), study)[1].best()
    assert best.value > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "scripts", "study"),
    [
        ("From KerasTuner", ("with_keras_tuner.py", "after_keras_tuner.py"), "digits-kt"),
        ("From Optuna", ("with_optuna.py", "after_optuna.py"), "digits-optuna"),
        ("From Ray Tune", ("with_ray.py",), "digits-ray"),
        ("From W&B sweeps", (), "digits-wandb"),
    ],
)
def test_scripts_of_other_tools_and_those_that_replace_them_run(tool, scripts, study, tmp_path):
    if "with_ray.py" in scripts:
        pytest.importorskip("ray")
    someone = reader(tmp_path)
    someone.write(COMING)
    for script in scripts:
        someone.shell(f"python {script}")
    if tool == "From W&B sweeps":
        someone.shell("python write_digits.py")
    someone.follow(section(COMING, tool))
    best = known_study(Home(tmp_path / "mlruns"), study)[1].best()
    assert best.value > 0.8


def test_every_script_of_another_tool_is_run_but_the_one_that_says_that_it_is_not():
    files = {block.file for block in blocks(COMING) if block.file}
    run = {"with_keras_tuner.py", "with_optuna.py", "with_ray.py"}
    assert {file for file in files if file.startswith("with_")} == {*run, "with_wandb.py"}
    assert "not run by the tests" in section(COMING, "From W&B sweeps")

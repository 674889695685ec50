import json
import re
import sys

import pytest

from search.cli import output
from search.cli.app import run
from spaces import get_space, names


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, width: int = 100) -> str:
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(sys, "argv", ["search", "spaces", *arguments])
        with pytest.raises(SystemExit) as caught:
            run()
        assert caught.value.code in (0, None)
        return capsys.readouterr().out

    return said


def test_a_baseline_is_told_with_its_setting_and_its_exact_number_of_weights(said):
    document = json.loads(said("cnn", "--json"))
    compact = document["baselines"]["compact"]
    assert compact["model_parameters"] == 121_930
    assert compact["scores"] == {"fashion_mnist": 0.9064}
    assert compact["settings"]["filters_2"] == 64
    assert document["takes"] == ["image"]


@pytest.mark.parametrize(
    ("space", "baseline", "rate"),
    [
        ("cnn", "narrow", 1e-3),
        ("cnn", "narrow-tuned", 1e-4),
        ("mlp", "small", 1e-3),
        ("mlp", "small-tuned", 1e-4),
    ],
)
def test_the_small_networks_have_the_epochs_batch_size_and_rate_they_were_published_with(
    said, space, baseline, rate
):
    told = json.loads(said(space, "--json"))["baselines"][baseline]
    assert told["epochs"] == told["settings"]["epochs"] == 10
    assert told["settings"]["batch_size"] == 64
    assert told["settings"]["learning_rate"] == rate
    assert told["settings"]["optimizer"] == "adam"


def test_it_is_told_on_what_a_score_was_measured_and_how_long_studies_train_baselines(said):
    shown = said("cnn", width=160)
    assert "0.8463 on fashion_mnist (last fifth)" in shown
    assert "0.9064 on fashion_mnist (test)" in shown
    assert "A study trains its baselines for its own `--epochs`, like all its trials." in shown


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 130])
def test_the_list_of_spaces_breaks_no_word(said, width):
    shown = said(width=width)
    assert max(map(len, shown.splitlines())) <= width
    for name in names():
        space = get_space(name)
        words = re.split("[ ,;]+", f"{name} {' '.join(space.baselines)} {space.summary}")
        assert set(words) <= set(re.split(r"[\s,;]+", shown))


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_space_shows_its_ranges_baselines_and_weights(said, name):
    shown, space = said(name), get_space(name)
    for parameter in space.parameters:
        assert parameter.name in shown
    for baseline, published in space.published.items():
        assert f"baseline {baseline}" in shown
        assert f"{published.model_parameters:,}" in shown


@pytest.mark.slow
def test_all_spaces_are_listed_with_what_they_take(said):
    listed = said(width=160)
    for name in names():
        assert f"\n{name} " in listed
    assert "image, table" in listed
    documents = json.loads(said("--json"))
    assert [document["name"] for document in documents] == list(names())

"""What `predict` prints and writes of predictions."""

import csv
import io

from search.cli.predict import _form_of, _write_rows
from search.export.predict import Prediction


def written(found: list[Prediction]) -> list[dict[str, str]]:
    """Return the rows of CSV."""
    form, file = _form_of(found), io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("input", *form.head()))
    _write_rows(writer, form)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


CLASSES = (("cat", 0.5), ("dog", 0.3), ("fox", 0.2))


def test_several_classes_are_columns_of_csv():
    found = [
        Prediction("one", "classification", CLASSES, held=("cat", "dog")),
        Prediction("two", "classification", CLASSES[::-1], held=()),
    ]
    first, second = written(found)
    assert list(first.items()) == [
        ("input", "one"),
        ("class", "cat"),
        ("probability", "0.5"),
        ("class_2", "dog"),
        ("probability_2", "0.3"),
        ("class_3", "fox"),
        ("probability_3", "0.2"),
        ("set", "cat|dog"),
    ]
    assert (second["class"], second["class_3"], second["set"]) == ("fox", "cat", "")
    (only,) = written([Prediction("one", "classification", CLASSES[:1], is_scored=True)])
    assert list(only) == ["input", "class", "score"]


def test_several_classes_of_an_output_are_columns_of_csv():
    found = [
        Prediction("one", "classification", CLASSES[:2], output="kind"),
        Prediction("one", "regression", (("y", 1.5),), output="size"),
    ]
    assert [*written(found)[0].values()] == ["one", "cat", "0.5", "dog", "0.3", "1.5"]
    assert "kind_class_2" in written(found)[0]


def test_the_samples_of_several_outputs_are_gone_through_once():
    walks = []

    class Walked(list):
        def __iter__(self):
            walks.append(len(self))
            return super().__iter__()

    found = [
        Prediction("same", "regression", ((output, float(n)),), output=output)
        for output in ("a", "b")
        for n in range(50)
    ]
    form = _form_of(found)
    form._forms["a"].found = Walked(form.samples)
    rows = io.StringIO()
    _write_rows(csv.writer(rows, lineterminator="\n"), form)
    assert rows.getvalue().splitlines() == [f"same,{n}.0,{n}.0" for n in range(50)]
    assert walks == [50]


NAMES = ("a|b", "a", 'say "b"', "b, c")


def test_joined_names_can_be_told_apart():
    classes = tuple((name, 0.25) for name in NAMES)
    found = [
        Prediction("one", "classification", classes[:1], held=("a|b", "a")),
        Prediction("two", "classification", classes[:1], held=("a", "b, c")),
        Prediction("three", "classification", classes[:1], held=NAMES),
    ]
    sets = [row["set"] for row in written(found)]
    assert sets[:2] == ['"a|b"|a', "a|b, c"]
    assert next(csv.reader([sets[2]], delimiter="|")) == list(NAMES)
    labels = tuple((name, 0.9) for name in NAMES)
    (row,) = written([Prediction("one", "multi-label", labels, held=("a|b",), undecided=("a",))])
    assert next(csv.reader([row["labels"]], delimiter="|")) == list(NAMES)
    assert (row["sure"], row["undecided"]) == ('"a|b"', "a")

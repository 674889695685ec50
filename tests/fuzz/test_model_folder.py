import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.inputs import ImageEncoder, TableEncoder, TextEncoder
from search.data.reading import Column
from search.export.archive import fault_in_archive
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.tasks import Classification
from tests.fuzz.damage import THOUSAND, cleanly, damaged

COLUMNS = (Column("width"), Column("height"))
MODELS = (
    Labels(Classification(("a", "b")), ImageEncoder((8, 8, 1), (10, 10, 1))),
    Labels(Classification(("a", "b")), TextEncoder(("good", "bad"), length=5, size=10)),
    Labels(
        Classification(("a", "b")),
        TableEncoder((1.0, 2.0), (3.0, 4.0)),
        columns=COLUMNS,
    ),
)
WHOLE = tuple(json.dumps(labels.to_json()).encode() for labels in MODELS)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 10),
        st.sampled_from([10**12, 10**400, -1, 2**63]),
        st.floats(),
        st.sampled_from(["", "a", "image", "text", "table", "logits", "probabilities"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    *("native_shape", "input_shape", "scaled"),
    *("vocabulary", "length", "size", "means", "deviations"),
)
INPUTS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["image", "text", "table"])},
    optional=dict.fromkeys(FIELDS, VALUES),
)


@st.composite
def documents(draw) -> bytes:
    document = draw(st.sampled_from(MODELS)).to_json()
    if draw(st.booleans()):
        document["input"] = draw(st.one_of(INPUTS, VALUES))
    for part in (document, document["input"]):
        if part and isinstance(part, dict):
            for name in draw(st.lists(st.sampled_from(sorted(part)), max_size=2)):
                part[name] = draw(VALUES)
    return json.dumps(document).encode()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, text in {"metadata.json": "{}", "config.json": "{}"}.items():
            made.writestr(zipfile.ZipInfo(name), text)
        made.writestr(zipfile.ZipInfo("model.weights.h5"), b"weights" * 9)
    return file.getvalue()


def read(content: bytes, folder) -> Labels | None:
    for name in ("labels.json", "metrics.json"):
        (folder / name).write_bytes(content)
    assert isinstance(ModelFolder(folder).metrics(), dict)
    labels = cleanly(ModelFolder(folder).labels)
    if labels is not None:
        assert labels.task.names
        assert all(side > 0 for side in labels.encoder.input_shape)
        assert labels.kind in ("image", "text", "table")
    return labels


def test_the_whole_documents_are_read(folder):
    assert tuple(read(content, folder) for content in WHOLE) == MODELS


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(documents(), damaged(*WHOLE), st.binary(max_size=100)))
def test_labels_that_say_anything_are_read_or_refused(folder, content):
    read(content, folder)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(damaged(archive()), st.binary(max_size=100)))
def test_a_damaged_archive_has_a_fault_or_is_whole(folder, content):
    path = folder / "model.keras"
    path.write_bytes(content)
    assert isinstance(fault_in_archive(path), str)

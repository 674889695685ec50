"""GLUE's TSV files, read as `sst2` from a folder the user names."""

import gzip
from pathlib import Path

import pytest

from search.data import load
from search.errors import DataError

HEADER = b"sentence\tlabel\n"
TRAIN = HEADER + "dull \t0\nbright \t1\nça va\t1\n".encode()
DEV = HEADER + b"so so\t0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    (folder / "train.tsv").write_bytes(TRAIN)
    (folder / "dev.tsv").write_bytes(DEV)
    return folder


def read(folder: Path, home: Path) -> tuple[list[str], list[int]]:
    dataset = load("sst2", home=home, data_dir=folder.parent, download=False)
    return list(dataset.train_samples), dataset.train_labels.tolist()


def fault(folder: Path, home: Path, content: bytes) -> str:
    """Return what is said of a train.tsv with that content; the file is always named."""
    path = folder / "train.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(folder, home)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def test_sentences_stand_as_they_are_in_the_file(folder: Path, home: Path) -> None:
    assert read(folder, home) == (["dull ", "bright ", "ça va"], [0, 1, 1])


def test_the_development_set_is_the_test_set(folder: Path, home: Path) -> None:
    samples, labels = load("sst2", home=home, data_dir=folder).open_test()
    assert (list(samples), labels.tolist()) == (["so so"], [0])


def test_gzipped_files_are_read_whatever_their_name(folder: Path, home: Path) -> None:
    (folder / "train.tsv").write_bytes(gzip.compress(TRAIN, mtime=0))
    (folder / "dev.tsv").unlink()
    (folder / "dev.tsv.gz").write_bytes(gzip.compress(DEV))
    assert read(folder, home)[1] == [0, 1, 1]


@pytest.mark.parametrize(
    "content",
    [
        TRAIN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + TRAIN,
        TRAIN.removesuffix(b"\n"),
    ],
    ids=["carriage returns", "byte order mark", "no end of the last line"],
)
def test_what_other_programs_do_to_text_files_is_overlooked(
    folder: Path, home: Path, content: bytes
) -> None:
    (folder / "train.tsv").write_bytes(content)
    assert read(folder, home) == (["dull ", "bright ", "ça va"], [0, 1, 1])


def test_a_line_separator_of_unicode_does_not_end_a_sentence(folder: Path, home: Path) -> None:
    (folder / "train.tsv").write_bytes(HEADER + "one\u2028two\t1\nx\t0\n".encode())
    assert read(folder, home)[0] == ["one\u2028two", "x"]


def test_glues_unlabelled_test_file_is_not_read(folder: Path, home: Path) -> None:
    (folder / "test.tsv").write_bytes(b"index\tsentence\n0\tx\n")
    assert len(read(folder, home)[0]) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", " is empty"),
        (HEADER, " must hold sentences; it ends after its header"),
        (TRAIN.removeprefix(HEADER), ", line 1 must be the header `sentence<TAB>label`; got 'dull"),
        (HEADER + b"a\t0\nb 1\n", ", line 3 must have one tab, not 0; got 'b 1'"),
        (HEADER + b"a\t0\n\nb\t1\n", ", line 3 must have one tab, not 0; got ''"),
        (HEADER + b"a\t0\nb\tc\t1\n", ", line 3 must have one tab, not 2; got 'b\\tc\\t1'"),
        (HEADER + b"a\t2\n", ", line 2 must end with a label of 0..1; got 'a\\t2'"),
        (HEADER + b"a\t\n", ", line 2 must end with a label of 0..1; got 'a\\t'"),
        (HEADER + b"a\t0\n \t1\n", ", line 3 must begin with a sentence that is not empty; got"),
        (HEADER + b"a\t0\nb\xff\t1\n", ", line 3 must be UTF-8; got the byte 0xff"),
        (gzip.compress(TRAIN, mtime=0)[:-9], " is cut short"),
        (
            gzip.compress(TRAIN, mtime=0)[:12]
            + b"\xff\xff\xff"
            + gzip.compress(TRAIN, mtime=0)[15:],
            " is damaged",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(
    folder: Path, home: Path, content: bytes, said: str
) -> None:
    assert fault(folder, home, content).startswith(said)


def test_of_a_long_line_only_the_beginning_is_shown(folder: Path, home: Path) -> None:
    assert len(fault(folder, home, HEADER + b"x" * 5000)) < 200


def test_a_file_too_large_is_not_unpacked_whole(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.glue.MAX_BYTES", 50)
    bomb = gzip.compress(HEADER + b"x\t1\n" * 1000)
    assert "must hold at most 50 bytes" in fault(folder, home, bomb)


def test_development_and_training_file_swapped_are_called_swapped(folder: Path, home: Path) -> None:
    (folder / "train.tsv").write_bytes(HEADER + b"x\t0\n" * 871 + b"y\t1\n")
    (folder / "dev.tsv").write_bytes(HEADER + b"x\t0\n" * 67_348 + b"y\t1\n")
    with pytest.raises(DataError, match="the files look swapped"):
        read(folder, home)

"""Whatever happens to a journal's bytes, nothing is read that was not written."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.errors import FoldwiseError
from search.studies import study_history
from tests.studies import StudyBuilder, lines_of
from tracking.home import Home, StudyFolder
from tracking.journal import Journal, JournalError, read_journal
from tracking.records import JournalRepaired, Record
from tracking.repair import examine, repair

many = settings(
    max_examples=int(os.environ.get("FUZZ_CASES", "1000")),  # fewer in `make quick`
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

RECORDS = StudyBuilder().every_kind_of_trial().records
LINES = lines_of(RECORDS)
WHOLE = b"".join(LINES)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a sound journal after up to four accidents."""
    content = WHOLE
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 30, 300, 5000]))
        match draw(st.sampled_from(["flip", "zeros", "insert", "remove", "cut", "twice", "line"])):
            case "flip" if content:
                flipped = bytes([content[at] ^ draw(st.integers(1, 255))])
                content = content[:at] + flipped + content[at + 1 :]
            case "zeros":
                content = content[:at] + bytes(length) + content[at + length :]
            case "insert":
                content = content[:at] + draw(st.binary(max_size=40)) + content[at:]
            case "remove":
                content = content[:at] + content[at + length :]
            case "cut":
                content = content[:at]
            case "twice":
                content = content[: at + length] + content[at:]
            case "line":
                content = content[:at] + b"\n" + content[at:]
    return content


def pasted() -> st.SearchStrategy[bytes]:
    """Return whole and torn lines in any order, with anything between."""
    anything = st.one_of(st.binary(max_size=30), st.just(b"\n"), st.just(bytes(500)))
    torn = st.builds(lambda line, end: line[:end], st.sampled_from(LINES), st.integers(0, 400))
    return st.lists(st.one_of(st.sampled_from(LINES), torn, anything), max_size=12).map(b"".join)


@pytest.fixture(scope="module", autouse=True)
def quick_disk() -> Iterator[None]:
    """Wait for no disk: what reaches it after a power cut is not examined here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture
def journal(home: Home) -> "Scratch":
    return Scratch(home.study("fuzz"))


class Scratch:
    """A study's folder that is emptied before each example."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder, self.path = folder, folder.journal
        folder.root.mkdir(parents=True, exist_ok=True)

    def write(self, content: bytes) -> None:
        for path in self.folder.root.iterdir():
            path.unlink()
        self.path.write_bytes(content)

    def read(self) -> list[Record] | None:
        try:
            return read_journal(self.path)
        except JournalError:
            return None


def is_subsequence(part: list[Record], whole: list[Record]) -> bool:
    left = iter(whole)
    return all(any(record == other for other in left) for record in part)


@pytest.mark.slow
@many
@given(content=st.one_of(st.binary(max_size=300), pasted()))
def test_any_bytes_are_refused_or_read_as_records_that_were_written(journal, content):
    journal.write(content)
    read = journal.read()
    assert read is None or all(record in RECORDS for record in read)
    assert read is None or content.startswith(b"".join(lines_of(read)))


@pytest.mark.slow
@many
@given(content=damaged())
def test_a_damaged_journal_gives_a_prefix_or_a_clear_refusal(journal, content):
    journal.write(content)
    read = journal.read()
    if read is None:
        assert content != WHOLE
    elif content.startswith(WHOLE):
        assert read[: len(RECORDS)] == RECORDS
    else:
        assert content.startswith(b"".join(lines_of(read)))
        assert all(record in RECORDS for record in read)
    with suppress(FoldwiseError):  # as where a line is missing that others build on
        study_history(journal.folder)


@pytest.mark.slow
@many
@given(content=st.one_of(damaged(), pasted(), st.binary(max_size=300)))
def test_what_is_appended_after_opening_is_read_and_nothing_is_thrown_away(journal, content):
    journal.write(content)
    before = journal.read()
    try:
        with Journal(journal.path) as opened:
            opened.append(RECORDS[0])
    except JournalError:
        assert before is None
        assert journal.path.read_bytes() == content
        return
    assert journal.read() == [*(before or []), RECORDS[0]]
    dropped = journal.path.with_name("journal.jsonl.dropped")
    end = dropped.read_bytes() if dropped.exists() else b""
    assert content == b"".join(lines_of(before or [])) + end
    assert opened.dropped == len(end)


@pytest.mark.slow
@many
@given(content=st.one_of(damaged(), pasted()))
def test_a_repaired_journal_can_be_read_and_holds_only_what_was_written(journal, content):
    journal.write(content)
    try:
        done = repair(journal.path)
    except JournalError:
        assert not content.startswith(LINES[0])
        assert journal.path.read_bytes() == content
        return
    history = study_history(journal.folder)
    *kept, told = read_journal(journal.path)
    assert isinstance(told, JournalRepaired)
    assert (told.left_out, told.gaps) == (len(done.found.faults), len(done.found.gaps))
    assert kept[0] == RECORDS[0]
    assert history.study is not None
    assert len(kept) == done.found.records
    assert done.copy.read_bytes() == content
    # What is kept was written, each once.
    assert len({record.at for record in kept}) == len(kept)
    assert all(LINES[RECORDS.index(record)] in content for record in kept)


@pytest.mark.slow
@many
@given(content=damaged())
def test_a_repair_takes_nothing_away_that_stands_by_itself(journal, content):
    journal.write(content)
    before = journal.read()
    try:
        repair(journal.path)
    except JournalError:
        return
    kept = journal.read()
    assert kept is not None
    if before is not None and is_subsequence(before, RECORDS):
        assert kept[: len(before)] == before
    assert examine(journal.path).needs_repair is False

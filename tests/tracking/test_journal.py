import dataclasses
import errno
import itertools
import os
import resource
import signal
from contextlib import suppress

import pytest

from tests.studies import lines_of
from tracking import journal_lines
from tracking.home import END, beside
from tracking.journal import Journal, JournalError, JournalReader, decode, encode, read_journal
from tracking.journal_lines import START, crc_of
from tracking.records import FORMAT, AttemptFailed


@pytest.fixture
def journal(tmp_path, study):
    return study.every_kind_of_trial().write(tmp_path / "journal.jsonl")


def test_what_is_appended_is_read(tmp_path, study):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for record in study.records:
            journal.append(record)
    assert read_journal(path) == study.records


def test_an_absent_journal_has_no_records(tmp_path):
    assert read_journal(tmp_path / "none.jsonl") == []


def test_a_reader_gives_each_record_once_as_the_journal_grows(tmp_path, study):
    path = tmp_path / "journal.jsonl"
    reader = JournalReader(path)
    with Journal(path) as journal:
        for record in study.records:
            journal.append(record)
            assert list(reader.read()) == [record]
    assert reader.offset == path.stat().st_size


def test_an_unfinished_last_line_waits_until_it_is_whole(journal, study):
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    reader = JournalReader(journal)
    assert list(reader.read()) == study.records[:-1]
    journal.write_bytes(whole)
    assert list(reader.read()) == study.records[-1:]


@pytest.mark.parametrize("lost", [1, 5, 60])
def test_opening_cuts_off_what_a_crash_left_of_a_line(journal, study, lost):
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-lost])
    with Journal(journal) as opened:
        assert opened.dropped == len(whole.splitlines(keepends=True)[-1]) - lost
        opened.append(study.records[-1])
    assert journal.read_bytes() == whole


def test_a_journal_of_one_torn_line_becomes_empty(tmp_path, study):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(study.records[0])[:-1])
    Journal(path).close()
    assert path.read_bytes() == b""


def test_a_torn_line_longer_than_a_block_is_cut_off_too(tmp_path, study):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode(study.records[0]) + b"x" * 200_000)
    Journal(path).close()
    assert read_journal(path) == study.records[:1]


def test_a_damaged_line_is_named_with_its_number(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"sampled", b"changed").replace(b"baseline", b"headline")
    journal.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=r"line 3: its checksum does not match"):
        read_journal(journal)


@pytest.mark.parametrize("line", [b"", b"{}", b"hello", b'{"crc":"00000000","at":1}'])
def test_a_line_that_encode_did_not_write_is_refused(line):
    with pytest.raises(ValueError, match=r"journal line|checksum"):
        decode(line)


def test_values_that_are_not_finite_survive(study):
    study.end_trial(0, "complete", level=float("nan"))
    read = decode(encode(study.records[-1])[:-1])
    assert str(read.scores["cv_accuracy"]) == "nan"


def test_only_epochs_and_starts_of_folds_are_not_forced_to_the_disk(tmp_path, study, monkeypatch):
    forced = []
    monkeypatch.setattr(os, "fsync", forced.append)
    study.start_trial(0)
    study.fold(0, 1)
    with Journal(tmp_path / "journal.jsonl") as journal:
        forced.clear()  # of its folder
        for record in study.records:
            journal.append(record)
        kinds = [type(record).__name__ for record in study.records]
        assert len(forced) == sum(kind not in ("EpochEnded", "FoldStarted") for kind in kinds) == 3


ENDS = {
    "a wrong checksum": lambda line: line.replace(b"1", b"2"),
    "zeros": lambda line: b"\0" * len(line),
    "zeros in a part": lambda line: line[:20] + b"\0" * 900,
    "garbage": lambda line: b"\xff\x00garbage\n",
    "garbage of several lines": lambda line: b"\xff\n{}\n\n\nmore\xfe",
    "an empty line": lambda line: line + b"\n",
}


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
def test_a_damaged_end_is_not_there_for_readers_and_set_aside_for_writing(journal, study, end):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + end(lines[-1]))
    length = journal.stat().st_size
    sound = study.records if end(lines[-1]).startswith(lines[-1]) else study.records[:-1]
    assert read_journal(journal) == sound
    with Journal(journal) as opened:
        opened.append(study.records[-1])
    assert read_journal(journal) == [*sound, study.records[-1]]
    assert opened.dropped == length - len(b"".join(lines_of(sound)))


def test_what_is_set_aside_is_kept_one_after_another(journal, study):
    whole = journal.read_bytes()
    for end in (b"first\n", b"second"):
        journal.write_bytes(whole + end)
        Journal(journal).close()
    assert journal.read_bytes() == whole
    assert journal.with_name("journal.jsonl.dropped").read_bytes() == b"first\nsecond"


def test_a_sound_journal_is_opened_without_a_file_beside_it(journal):
    with Journal(journal) as opened:
        assert opened.dropped == 0
        assert [path.name for path in journal.parent.iterdir()] == ["journal.jsonl"]


@pytest.mark.parametrize("position", [0, 1, 5])
def test_a_damaged_line_before_a_sound_one_is_refused_for_writing_too(journal, position):
    lines = journal.read_bytes().splitlines(keepends=True)
    before = len(b"".join(lines[:position]))
    lines[position] = b"garbage\n"
    journal.write_bytes(b"".join(lines))
    words = rf"line {position + 1}: not a journal line \(at byte {before:,}\).*doctor --repair"
    with pytest.raises(JournalError, match=words):
        Journal(journal)
    with pytest.raises(JournalError, match=words):
        read_journal(journal)
    assert journal.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("rest", [b"", b"more\n"])
def test_a_journal_without_its_first_line_is_never_emptied(tmp_path, rest):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"no record\n" + rest)
    for use in (read_journal, Journal):
        with pytest.raises(JournalError, match=r"line 1: not a journal line.*what the study is"):
            use(path)
    assert path.read_bytes() == b"no record\n" + rest


def test_a_reader_waits_at_a_damaged_end_and_gives_what_replaces_it(journal, study):
    whole = journal.read_bytes()
    journal.write_bytes(whole + b"garbage\n")
    reader = JournalReader(journal)
    assert list(reader.read()) == study.records
    assert list(reader.read()) == []
    with Journal(journal) as opened:
        opened.append(study.records[-1])
    assert list(reader.read()) == study.records[-1:]


def test_a_reader_refuses_a_damaged_line_once_a_sound_one_follows(journal, study):
    count = len(study.records)
    with journal.open("ab") as file:
        file.write(b"garbage\n")
        reader = JournalReader(journal)
        assert len(list(reader.read())) == count
        file.write(encode(study.records[-1]))
        file.flush()
    for _ in range(2):
        with pytest.raises(JournalError, match=f"line {count + 1}: not a journal line"):
            list(reader.read())


def test_a_line_without_an_end_takes_bounded_memory(journal, study, monkeypatch):
    monkeypatch.setattr(journal_lines, "LONGEST", 4096)
    with journal.open("ab") as file:
        file.write(b"x" * 40_000)
    with journal.open("rb") as file:
        assert max(map(len, journal_lines.raw_lines(file))) == 4096
    assert read_journal(journal) == study.records
    with Journal(journal) as opened:
        assert opened.dropped == 40_000


def test_a_damaged_journal_names_the_repair(journal):
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"damaged\n", *lines[2:]]))
    with pytest.raises(JournalError, match="`foldwise doctor --repair"):
        read_journal(journal)


def test_a_sound_line_of_a_later_version_is_neither_dropped_nor_called_damaged(journal, study):
    class Invented(AttemptFailed):
        """A kind of record that is forgotten again."""

    invented = Invented(at=1.0, trial=0, cause="lost", reason="x")
    line = encode(invented, crc_of(last_of(journal.read_bytes())))
    del AttemptFailed.kinds["Invented"]
    journal.write_bytes(journal.read_bytes() + line)
    with Journal(journal) as opened:
        assert opened.dropped == 0
    with pytest.raises(JournalError, match=r"unknown kind.*a later version wrote it"):
        read_journal(journal)


def test_fields_of_a_later_version_are_passed_over(study):
    class Later:
        def to_json(self):
            return study.records[0].to_json() | {"invented": 1}

    assert decode(encode(Later())[:-1]) == study.records[0]


def test_text_that_is_no_utf8_survives(study):
    record = AttemptFailed(at=1.0, trial=0, cause="disk", reason="caf\udce9")
    assert decode(encode(record)[:-1]) == record


# A disk that fills up.


def fill(journal, records):
    """Append records over and over until the disk is full; return those that were kept."""
    kept = []
    with suppress(JournalError):
        for record in itertools.cycle(records):
            journal.append(record)
            kept.append(record)
    return kept


def test_a_full_disk_keeps_every_record_before_and_says_what_to_do(small_disk, study):
    path = small_disk(64) / "journal.jsonl"
    with Journal(path) as journal:
        kept = fill(journal, study.every_kind_of_trial().records)
        with pytest.raises(JournalError) as caught:
            journal.append(study.records[0])
    assert len(kept) > 100
    assert read_journal(path) == kept
    assert path.read_bytes().endswith(b"\n")
    for words in (str(path), "the disk is full; 0 bytes free", "every record before it is"):
        assert words in str(caught.value)
    assert "run the same command again" in str(caught.value)


def test_after_room_was_made_the_same_journal_goes_on(small_disk, study):
    folder = small_disk(64)
    path, ballast = folder / "journal.jsonl", folder / "ballast"
    ballast.write_bytes(bytes(40_000))
    with Journal(path) as journal:
        kept = fill(journal, study.every_kind_of_trial().records)
        with pytest.raises(JournalError, match="the disk is full"):
            journal.append(study.records[1])
        ballast.unlink()
        journal.append(study.records[1])
    assert read_journal(path) == [*kept, study.records[1]]


def test_a_damaged_end_is_not_cut_off_where_there_is_no_room_to_keep_it(small_disk, study):
    path = small_disk(16) / "journal.jsonl"
    path.write_bytes(encode(study.records[0]) + b"x" * 10_000)
    with pytest.raises(JournalError, match=r"kept in journal\.jsonl\.dropped; the disk is full"):
        Journal(path)
    assert path.stat().st_size == len(encode(study.records[0])) + 10_000


@pytest.fixture
def largest_file():
    """Let files grow to a size and no further; ends with the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_line_that_is_written_in_part_is_cut_off(journal, study, largest_file):
    whole = journal.read_bytes()
    with Journal(journal) as opened:
        largest_file(len(whole) + 10)
        with pytest.raises(JournalError, match="the largest size that is allowed"):
            opened.append(study.records[0])
        assert journal.read_bytes() == whole
        largest_file(resource.RLIM_INFINITY)
        opened.append(study.records[0])
    assert journal.read_bytes() == whole + encode(study.records[0], crc_of(last_of(whole)))


def test_a_torn_line_that_cannot_be_cut_off_stops_every_further_record(
    journal, study, largest_file, monkeypatch
):
    whole = journal.read_bytes()

    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    with Journal(journal) as opened:
        with monkeypatch.context() as broken:
            broken.setattr(os, "ftruncate", refuse)
            largest_file(len(whole) + 10)
            for _ in range(2):
                with pytest.raises(JournalError, match="Input/output error"):
                    opened.append(study.records[0])
            largest_file(resource.RLIM_INFINITY)
            with pytest.raises(JournalError, match="Input/output error"):
                opened.append(study.records[0])
        assert len(journal.read_bytes()) == len(whole) + 10
        opened.append(study.records[0])
    assert journal.read_bytes() == whole + encode(study.records[0], crc_of(last_of(whole)))


def test_a_disk_that_does_not_confirm_ends_the_journal_for_this_process(
    journal, study, monkeypatch
):
    def refuse(_):
        raise OSError(errno.EIO, "Input/output error")

    with Journal(journal) as opened:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse)
            with pytest.raises(JournalError, match="did not confirm the last record"):
                opened.append(study.records[0])
        with pytest.raises(JournalError, match="did not confirm the last record"):
            opened.append(study.records[1])
    assert read_journal(journal) == [*study.records, study.records[0]]


@pytest.mark.slow
def test_a_record_longer_than_a_line_may_be_is_refused(journal, study):
    record = AttemptFailed(at=1.0, trial=0, cause="lost", reason="x" * (64 << 20))
    with Journal(journal) as opened, pytest.raises(JournalError, match="takes 67,1"):
        opened.append(record)
    assert read_journal(journal) == study.records


# Lines that follow each other.


def last_of(content):
    return content.splitlines(keepends=True)[-1]


def refused(path, words):
    content = path.read_bytes()
    for use in (read_journal, Journal):
        with pytest.raises(JournalError, match=words):
            use(path)
    assert path.read_bytes() == content


CHANGES = {
    "lost": lambda lines, n: lines[:n] + lines[n + 1 :],
    "doubled": lambda lines, n: [*lines[: n + 1], lines[n], *lines[n + 1 :]],
    "moved": lambda lines, n: [*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]],
    "inserted": lambda lines, n: [*lines[: n + 1], lines[0], *lines[n + 1 :]],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_lines_that_are_lost_doubled_moved_or_inserted_are_refused(journal, change):
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) - 2):
        changed = change(lines, number)
        at = next(n for n, (a, b) in enumerate(itertools.zip_longest(lines, changed)) if a != b)
        journal.write_bytes(b"".join(changed))
        refused(journal, rf"line {at + 1}: it does not follow the line before it.*--repair")


def test_a_journal_from_before_lines_were_linked_is_linked_from_its_next_record_on(tmp_path, study):
    path, records = tmp_path / "journal.jsonl", study.every_kind_of_trial().records
    path.write_bytes(b"".join(map(encode, records[:9])))
    assert read_journal(path) == records[:9]
    with Journal(path) as opened:
        for record in records[9:12]:
            opened.append(record)
    assert read_journal(path) == records[:12]
    beside(path, END).unlink()
    whole = path.read_bytes().splitlines(keepends=True)
    for lost in (8, 9, 10):
        path.write_bytes(b"".join(whole[:lost] + whole[lost + 1 :]))
        refused(path, f"line {lost + 1}: it does not follow")
    path.write_bytes(b"".join([*whole, encode(records[12])]))
    refused(path, "line 13: it does not follow")


def test_a_last_line_that_is_lost_after_closing_is_refused_whatever_follows(journal, study):
    with Journal(journal) as opened:
        opened.append(study.records[-1])
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    shorter = b"".join(lines[:-1])
    other = encode(study.records[3], crc_of(lines[-2]))
    at = dataclasses.replace(study.records[-1], at=study.records[-1].at + 1)
    replaced = shorter + encode(at, crc_of(lines[-2]))
    assert len(replaced) == len(whole)
    for content in (shorter, shorter + other, replaced, shorter + b"x" * 4000, whole[:-1], b""):
        journal.write_bytes(content)
        refused(journal, rf"closed last, which had {len(whole):,} bytes")
    journal.write_bytes(whole)
    with Journal(journal) as opened:
        opened.append(study.records[2])
    assert len(read_journal(journal)) == len(lines) + 1


def test_a_note_of_the_end_that_cannot_be_read_is_none(journal, study):
    for content in (b"", b"garbage", b"[]", b'{"size": "x"}'):
        beside(journal, END).write_bytes(content)
        assert read_journal(journal) == study.records


def test_a_journal_of_a_later_format_is_not_read(tmp_path, study):
    path = tmp_path / "journal.jsonl"
    line = encode(dataclasses.replace(study.records[0], format=FORMAT + 1), START)
    path.write_bytes(line)
    with pytest.raises(JournalError, match=r"format 3; this version knows 2.*a later version"):
        read_journal(path)

import os

import pytest

from tracking.journal import Journal, JournalError, JournalReader, decode, encode, read_journal


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
        for record in study.records:
            journal.append(record)
    kinds = [type(record).__name__ for record in study.records]
    assert len(forced) == sum(kind not in ("EpochEnded", "FoldStarted") for kind in kinds) == 3

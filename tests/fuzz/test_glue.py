import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.checks import Contents
from search.data.formats.glue import find_glue, write_glue
from tests.fuzz.damage import THOUSAND, cleanly, damaged, written

CONTENTS = Contents("text", ("no", "yes"))
WHOLE = b"sentence\tlabel\n" + "a fine film\t1\r\nnot größer \u2028 good\t0\n".encode() * 3
NONSENSE = st.lists(
    st.sampled_from(
        ["sentence\tlabel", "a\t0", "b\t1", "\t1", "c\t2", "d", "\t", "", "e\t1\t0", "\0\t1"]
    )
).map(lambda lines: "\n".join(lines).encode())
HEADED = NONSENSE.map(lambda rest: b"\xef\xbb\xbfsentence\tlabel\nx\t0\n" + rest)


def read(content: bytes, folder, arrays):
    (folder / "glue").mkdir(exist_ok=True)
    (folder / "glue" / "train.tsv").write_bytes(WHOLE)
    (folder / "glue" / "dev.tsv").write_bytes(content)

    def write(out):
        write_glue(find_glue(folder / "glue"), out, 2)
        return CONTENTS

    return cleanly(lambda: written(write, arrays))


def test_the_whole_file_is_read(folder, arrays):
    assert read(gzip.compress(WHOLE), folder, arrays) == CONTENTS


@pytest.mark.slow
@THOUSAND
@given(content=damaged(WHOLE, gzip.compress(WHOLE, mtime=0)))
def test_a_damaged_file_is_read_or_refused(folder, arrays, content):
    read(content, folder, arrays)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(NONSENSE, HEADED, st.binary(max_size=200)))
def test_what_is_no_file_of_sentences_is_refused_or_is_one(folder, arrays, content):
    read(content, folder, arrays)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import SettingsError
from search.study.config import read_config
from search.study.notation import parse_overrides
from search.study.settings import StudySettings, validate
from spaces import get_space
from spaces.declaring.parameters import SpaceError
from spaces.declaring.registry import narrow
from tests.fuzz.damage import LONGEST_MESSAGE, THOUSAND, cleanly, damaged

WHOLE = b"""\
space: lenet
dataset: digits
trials: 8
timeout: 1h30m
seed: 3
objective: [cv_accuracy, latency_ms]
set: {dropout: 0.2, batch_size: [32, 64], extra_conv: on}
limit-samples: null
"""
SPACES = [get_space(name) for name in ("lenet", "cnn", "mlp", "bilstm", "vgg16", "convnet")]
PARAMETERS = sorted({name for space in SPACES for name in space.names()})

SCALARS = st.sampled_from(
    [
        *("1", "-1", "0", "1.5", ".nan", ".inf", "1e999", "9" * 5000, "true", "off", "null", "~"),
        *("2020-13-45", "2020-01-01", "1:30", "0b_", "0x", "!!int x", "!!float x", "!!set {a}"),
        *("!!python/object:os.system x", "*a", "&a [*a]", "'", '"\\x"', "{a: b", "? [a]\\n: b"),
        *(
            "lenet",
            "optuna",
            "tpe",
            "90s",
            "nowhere:x",
            "csv:~nobody/x",
            "csv:a,b,c",
            "tfds:",
            "=1",
        ),
        *(
            "!!binary x",
            "!!timestamp x",
            "<<: 3",
            "!!bool x",
            "!!null x",
            "\t",
            "%",
            "@",
            "`",
            "- -",
        ),
    ]
)
OPTIONS = st.sampled_from(
    [*StudySettings.model_fields, "limit-samples", "1", "other", "? a", "set"]
)
LINES = st.lists(st.builds(lambda name, value: f"{name}: {value}", OPTIONS, SCALARS), max_size=5)
NONSENSE = LINES.map(lambda lines: "\n".join(lines).encode())
NESTED = st.builds(
    lambda start, mark, depth: (start + mark * depth).encode(),
    st.sampled_from(["", "a: ", "set: ", "set: {dropout: "]),
    st.sampled_from(["[", "{", "- ", "{a: ", "? ", "!!set ", "'"]),
    st.sampled_from([3, 300, 3000]),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        SCALARS,
        st.binary(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(
            [
                *("1", "-1", "0.5", "nan", "inf", "-inf", "1e999", "on", "off", "relu", "32", "64"),
                *("", " ", "1_0", "0x10", "\u0661", "9" * 5000, "none", "imagenet", "../x", "\0"),
            ]
        ),
        min_size=1,
        max_size=4,
    ).flatmap(lambda parts: st.sampled_from([",".join(parts), ":".join(parts)])),
)


def laughing(depth: int) -> bytes:
    """Return a short file that says a value of 10^depth parts."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join([*lines, f"set: {{dropout: *a{depth - 1}}}"]).encode()


def settings_of(content: bytes, folder):
    path = folder / "study.yaml"
    path.write_bytes(content)
    return cleanly(lambda: validate(read_config(path)))


def test_the_whole_file_is_read(folder):
    assert settings_of(WHOLE, folder).trials == 8


def test_a_file_that_says_a_thing_a_billion_times_is_refused(folder):
    settings_of(laughing(9), folder)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(damaged(WHOLE), NONSENSE, NONSENSE, NESTED, st.binary(max_size=100)))
def test_a_file_of_settings_is_read_or_refused(folder, content):
    settings_of(content, folder)


@pytest.mark.slow
@THOUSAND
@given(values=st.dictionaries(OPTIONS, VALUES, max_size=5))
def test_values_of_any_kind_are_settings_or_refused(values):
    cleanly(lambda: validate(values))


@pytest.mark.slow
@THOUSAND
@given(
    space=st.sampled_from(SPACES),
    pairs=st.lists(
        st.one_of(
            st.text(max_size=12),
            st.builds(
                lambda name, text: f"{name}={text}", st.sampled_from([*PARAMETERS, "no"]), TEXTS
            ),
        ),
        max_size=4,
    ),
)
def test_overrides_narrow_a_space_or_are_refused(space, pairs):
    try:
        narrowed = narrow(space, parse_overrides(pairs))
    except (SettingsError, SpaceError) as error:
        message = str(error)
        narrowed = None
    if narrowed is None:
        assert 10 < len(message) < LONGEST_MESSAGE * max(1, len(pairs))
    else:
        assert narrowed.space.names() == space.names()
        default = narrowed.space.complete({})
        assert all(
            p.contains(default[p.name]) for p in narrowed.space.parameters if p.name in default
        )

import random
from pathlib import Path

import numpy as np
import pytest

from search.data.arrays import words_of
from search.data.duplicates import families
from tests.search.data.tiny import tiny


def together(texts: list[str]) -> list[list[str]]:
    found: dict[int, list[str]] = {}
    for text, number in zip(texts, families(texts).tolist(), strict=True):
        found.setdefault(number, []).append(text)
    return list(found.values())


def held(part: list[str], whole: list[str]) -> bool:
    places = range(len(whole) - len(part) + 1)
    return len(part) < len(whole) and any(whole[i : i + len(part)] == part for i in places)


def plainly(texts: list[str]) -> list[int]:
    """Return the place of the text that heads each one's family, by looking at all pairs."""
    words = [words_of(text) for text in texts]
    heads = []
    for place, spelled in enumerate(words):
        head = words.index(spelled) if spelled else place
        while spelled and (holders := [w for w in words if held(words[head], w)]):
            head = words.index(min(holders, key=len))
        heads.append(head)
    return heads


def test_phrases_of_a_sentence_are_in_its_family() -> None:
    film = ["a gorgeous , witty film", "gorgeous", "witty film", "a gorgeous , witty"]
    bleak = ["unflinchingly bleak", "bleak"]
    assert together([*film, *bleak]) == [film, bleak]


def test_words_decide_not_letters_marks_or_case() -> None:
    assert len(together(["a fine art film", "Fine ART.", "art", "in art-house"])) == 2
    assert len(together(["a smart film", "art"])) == 2
    assert len(together(["good !", "good"])) == 1
    others = ["an art film of old", "art film of new"]  # so that `film now` is rarer
    assert len(together(["art film now", "a smart film now then", *others])) == 4


@pytest.mark.parametrize("part", ["a film", "film a", "a good good film"])
def test_words_that_do_not_follow_one_another_are_no_part(part: str) -> None:
    assert len(together(["a good film", part])) == 2


def test_a_phrase_of_many_sentences_joins_one_of_them_and_does_not_join_them() -> None:
    sentences = ["the film is a long bore", "i left the film early", "the film moves"]
    found = families(["the film", *sentences])
    assert len(set(found[1:])) == 3
    assert found[0] == found[3]  # the shortest holds little else


def test_of_equally_short_sentences_the_first_is_joined() -> None:
    found = families(["good fun", "such good fun", "good fun indeed"])
    assert found[0] == found[1] != found[2]


def test_a_single_word_joins_the_shortest_text_that_has_it() -> None:
    found = families(["fun", "that was good fun indeed", "such fun", "no laugh"])
    assert found[0] == found[2] != found[1]


def test_a_part_goes_where_the_text_goes_that_holds_it() -> None:
    texts = ["fun", "good fun", "it was good fun", "having fun now"]
    assert len(set(families(texts)[:3])) == 1


def test_equal_texts_are_one_family() -> None:
    assert together(["dull", "fine", "Dull .", "fine"]) == [["dull", "Dull ."], ["fine", "fine"]]


def test_texts_without_words_stand_alone() -> None:
    assert len(set(families(["( ", "fine", ") ", "", ""]).tolist())) == 5


@pytest.mark.parametrize("texts", [[], [""], ["one"], ["two words"]])
def test_few_texts_are_as_many_families(texts: list[str]) -> None:
    found = families(texts)
    assert found.dtype == np.int64
    assert found.tolist() == list(range(len(texts)))


@pytest.mark.parametrize("seed", range(20))
def test_families_are_those_that_looking_at_all_pairs_finds(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 # no secret
    letters = "abcdefgh!"[: chance.randint(1, 9)]
    texts = [" ".join(chance.choices(letters, k=chance.randint(0, 9))) for _ in range(60)]
    expected = np.unique(plainly(texts), return_inverse=True)[1]
    pairs = set(zip(families(texts).tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(expected.tolist())) == len({ours for ours, _ in pairs})


def test_texts_of_a_dataset_are_taken_as_they_are(tmp_path: Path) -> None:
    texts = ["a fine film", "fine", "dull"]
    dataset = tiny(tmp_path, "text", (texts, [1, 1, 0]), (["x", "y"], [0, 1]))
    assert families(dataset.train_samples).tolist() == families(texts).tolist()

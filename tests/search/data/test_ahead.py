import threading
from collections.abc import Iterator

import pytest

from search.data.arrays import MAX_THREADS, map_ahead


def test_results_come_in_order() -> None:
    gate = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            gate.wait(0.05)  # the others are done first
        return -item

    assert list(map_ahead(work, range(50))) == [-item for item in range(50)]


def test_no_more_than_a_few_items_are_under_way() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    for done, _ in enumerate(map_ahead(str, items()), 1):
        assert len(taken) <= done + MAX_THREADS


def test_the_first_failure_in_order_is_raised_and_the_rest_is_left() -> None:
    taken = []

    def work(item: int) -> int:
        taken.append(item)
        if item in (3, 5):
            raise ValueError(str(item))
        return item

    got: list[int] = []
    with pytest.raises(ValueError, match="3"):
        got.extend(map_ahead(work, range(1000)))
    assert got == [0, 1, 2]
    assert len(taken) < 20

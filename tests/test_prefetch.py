"""Items made ahead and results of calls side by side are those made one by one, and no thread stays."""

import random
import threading
import time

import pytest

from rtsmap.runtime.threads import Waits, ordered_map, prefetch


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


class Counted:
    """Numbers without end; remembers how many were made, and in which thread."""

    def __init__(self):
        self.made, self.threads = 0, set()

    def __iter__(self):
        while True:
            self.made += 1
            self.threads.add(threading.current_thread().name)
            yield self.made


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert condition()


@pytest.mark.parametrize("size", [0, 1, 2, 50])
def test_items_come_in_their_order(size):
    with prefetch(range(20), size) as items:
        assert list(items) == list(range(20))


def test_they_are_made_in_a_thread_with_a_name():
    numbers = Counted()
    with prefetch(numbers, 1, name="reader") as items:
        next(items)
    assert numbers.threads == {"reader"}


def test_without_room_nothing_is_made_ahead():
    numbers = Counted()
    with prefetch(numbers, 0) as items:
        assert next(items) == 1
    assert numbers.made == 1
    assert numbers.threads == {threading.current_thread().name}


def test_no_more_is_made_than_there_is_room_for():
    numbers = Counted()
    with prefetch(numbers, 3) as items:
        next(items)
        wait_until(lambda: numbers.made == 4)  # one is taken, three are ready
        time.sleep(0.05)
        assert numbers.made == 4


def test_an_error_is_raised_in_the_place_of_its_item():
    def numbers():
        yield 1
        yield 2
        raise ValueError("the third")

    seen = []
    with pytest.raises(ValueError, match="the third"), prefetch(numbers(), 5) as items:
        seen.extend(items)
    assert seen == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_raised_in_the_block_passes_and_ends_the_thread(error):
    numbers = Counted()

    def take_one():
        with prefetch(numbers, 2) as items:
            next(items)
            raise error

    with pytest.raises(error):
        take_one()
    made = numbers.made
    time.sleep(0.02)
    assert numbers.made == made <= 4


def test_threads_in_a_row_end_while_one_waits_for_another():
    waiting, release = threading.Event(), threading.Event()

    def slow():
        yield 1
        waiting.set()
        release.wait(60)
        yield 2

    with prefetch(slow(), 1) as first, prefetch((10 * number for number in first), 1) as second:
        assert next(second) == 10
        assert waiting.wait(60)  # the first thread now waits for the event, and the second for the first
        timer = threading.Timer(0.05, release.set)
        timer.start()
    assert release.is_set()
    timer.join()


def test_waiting_is_counted_on_the_side_that_waits():
    numbers, waits = Counted(), Waits()
    with prefetch(numbers, 1, waits=waits) as items:
        next(items)
        wait_until(lambda: numbers.made == 2)
        time.sleep(0.2)  # without room
    assert waits.for_room_s > 0.05

    release, waits = threading.Event(), Waits()
    timer = threading.Timer(0.2, release.set)
    timer.start()
    with prefetch((release.wait(60) for _ in range(1)), 1, waits=waits) as items:
        assert next(items)
    assert waits.for_items_s > 0.05
    timer.join()


@pytest.mark.parametrize("number", [1, 2, 5])
def test_calls_side_by_side_give_their_results_in_order(number):
    pauses = random.Random(number)

    def doubled(item):
        time.sleep(pauses.random() / 200)
        return 2 * item

    assert list(ordered_map(doubled, range(20), number)) == list(range(0, 40, 2))
    assert list(ordered_map(doubled, [], number)) == []


def test_calls_are_at_the_same_time_and_take_one_item_more_than_that():
    meeting, taken = threading.Barrier(3, timeout=10), []

    def items():
        for item in range(9):
            taken.append(item)
            yield item

    results = ordered_map(lambda item: (meeting.wait(), item)[1], items(), 3)  # none would end alone
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]
    assert list(results) == list(range(1, 9))


@pytest.mark.parametrize("number", [1, 3])
def test_what_a_call_raises_is_raised_and_the_others_end(number):
    def picky(item):
        if item == 4:
            raise ValueError("four")
        return item

    results, got = ordered_map(picky, range(10), number), []
    with pytest.raises(ValueError, match="four"):
        got.extend(results)
    assert got == [0, 1, 2, 3]


def test_closing_ends_the_calls():
    results = ordered_map(abs, range(1000), 2)
    assert next(results) == 0
    results.close()  # and no thread is left

"""Items made ahead are those made one by one, and the thread ends however the block does."""

import threading
import time

import pytest

from rtsmap.ahead import Waits, ahead


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
    with ahead(range(20), size) as items:
        assert list(items) == list(range(20))


def test_they_are_made_in_a_thread_with_a_name():
    numbers = Counted()
    with ahead(numbers, 1, name="reader") as items:
        next(items)
    assert numbers.threads == {"reader"}


def test_without_room_nothing_is_made_ahead():
    numbers = Counted()
    with ahead(numbers, 0) as items:
        assert next(items) == 1
    assert numbers.made == 1
    assert numbers.threads == {threading.current_thread().name}


def test_no_more_is_made_than_there_is_room_for():
    numbers = Counted()
    with ahead(numbers, 3) as items:
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
    with pytest.raises(ValueError, match="the third"), ahead(numbers(), 5) as items:
        seen.extend(items)
    assert seen == [1, 2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_raised_in_the_block_passes_and_ends_the_thread(error):
    numbers = Counted()

    def take_one():
        with ahead(numbers, 2) as items:
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

    with ahead(slow(), 1) as first, ahead((10 * number for number in first), 1) as second:
        assert next(second) == 10
        assert waiting.wait(60)  # the first thread now waits for the event, and the second for the first
        timer = threading.Timer(0.05, release.set)
        timer.start()
    assert release.is_set()
    timer.join()


def test_waiting_is_counted_on_the_side_that_waits():
    numbers, waits = Counted(), Waits()
    with ahead(numbers, 1, waits=waits) as items:
        next(items)
        wait_until(lambda: numbers.made == 2)
        time.sleep(0.2)  # without room
    assert waits.for_room_s > 0.05

    release, waits = threading.Event(), Waits()
    timer = threading.Timer(0.2, release.set)
    timer.start()
    with ahead((release.wait(60) for _ in range(1)), 1, waits=waits) as items:
        assert next(items)
    assert waits.for_items_s > 0.05
    timer.join()

"""Work in threads, its results in order: ahead of who asks for them, and several calls side by side."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass
class Waits:
    """Seconds that the two sides of `prefetch` waited for each other.

    Attributes:
        for_room_s: the maker had all its items ready, and the taker was busy.
        for_items_s: the taker had nothing to take.
    """

    for_room_s: float = 0.0
    for_items_s: float = 0.0


@contextmanager
def prefetch(
    items: Iterable[_T], size: int, *, name: str = "prefetch", waits: Waits | None = None
) -> Iterator[Iterator[_T]]:
    """Make items in a thread of its own, a few before they are asked for.

    Items come in their own order, so that nothing but time depends on `size`. What goes wrong in the thread is raised
    where the item would have been taken. However the `with` block ends, the thread has ended after it: it finishes the
    item that it is at, and takes up no other.

    Args:
        items: taken by the thread alone until the block ends.
        size: items that are ready or being made at a time, which bounds memory; 0 for no thread.
        name: of the thread.
        waits: is added to.

    Yields:
        The items.
    """
    if not size:
        yield iter(items)
        return
    maker = _Maker(items, size, waits or Waits())
    thread = Thread(target=maker.run, name=name)
    thread.start()
    try:
        yield maker.taken()
    finally:
        maker.stop()
        thread.join()


def ordered_map(function: Callable[[_T], _R], items: Iterable[_T], number: int) -> Generator[_R, None, None]:
    """The results of a function in the order of its items, several calls at a time.

    Close the iterator, or use it up: its threads end with it, after the calls that they are at.

    Args:
        function: called in threads of its own, unless `number` is 1.
        items: taken one more than are being worked on.
        number: calls at a time.

    Yields:
        What each call returns; what it raises is raised here.
    """
    if number == 1:
        yield from map(function, items)
        return
    running: deque[Future[_R]] = deque()
    pool = ThreadPoolExecutor(number)
    try:
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > number:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class _End:
    """Comes after the last item."""

    error: BaseException | None = None


class _Maker(Generic[_T]):
    """The two sides of `prefetch`: `run` in the thread, `taken` and `stop` outside."""

    def __init__(self, items: Iterable[_T], size: int, waits: Waits) -> None:
        self._items = iter(items)
        self._room = Semaphore(size)
        self._made: SimpleQueue[_T | _End] = SimpleQueue()
        self._stopped = False
        self._waits = waits

    def run(self) -> None:
        end = _End()
        try:
            # room first: an item that is made and may not be put down would take memory all the same
            while self._has_room() and not isinstance(item := next(self._items, end), _End):
                self._made.put(item)
        except BaseException as error:  # whatever it is, it belongs to who waits for the item
            end.error = error
        self._made.put(end)

    def taken(self) -> Iterator[_T]:
        while True:
            start = time.perf_counter()
            item = self._made.get()
            self._waits.for_items_s += time.perf_counter() - start
            if isinstance(item, _End):
                break
            self._room.release()
            yield item
        if item.error is not None:
            raise item.error

    def stop(self) -> None:
        self._stopped = True
        self._room.release()

    def _has_room(self) -> bool:
        start = time.perf_counter()
        self._room.acquire()
        self._waits.for_room_s += time.perf_counter() - start
        return not self._stopped

"""Work in threads with results in order: a bounded prefetch thread, and a parallel map."""

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
    """Time that the two sides of `prefetch` waited for each other, s.

    Attributes:
        for_room_s: time in which the producer had prepared all items that it may, and the consumer was busy.
        for_items_s: time in which the consumer waited for an item.
    """

    for_room_s: float = 0.0
    for_items_s: float = 0.0


@contextmanager
def prefetch(
    items: Iterable[_T], size: int, *, name: str = "prefetch", waits: Waits | None = None
) -> Iterator[Iterator[_T]]:
    """A bounded, order-preserving prefetch thread.

    Items keep their order, so that only time depends on `size`. An exception in the thread is raised where its item
    would have been returned. When the `with` block ends, for whatever reason, the thread finishes the current item and
    ends.

    Args:
        items: an iterable that only the thread may use until the block ends.
        size: largest number of items that are ready or being prepared, which bounds memory; 0 for no thread.
        name: name of the thread.
        waits: the times of waiting are added to it.

    Yields:
        An iterator over the items.
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
    """Call a function on each item in several threads, and return the results in the order of the items.

    Exhaust the generator or close it: either ends its threads, after the calls that are running.

    Args:
        function: is called in threads, unless `number` is 1.
        items: are consumed one further than those being worked on.
        number: number of calls at the same time.

    Yields:
        The result of each call; an exception of a call is raised here.
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
    """Marks the end of the items."""

    error: BaseException | None = None


class _Maker(Generic[_T]):
    """The state of `prefetch`: `run` is called in the thread, `taken` and `stop` outside."""

    def __init__(self, items: Iterable[_T], size: int, waits: Waits) -> None:
        self._items = iter(items)
        self._room = Semaphore(size)
        self._made: SimpleQueue[_T | _End] = SimpleQueue()
        self._stopped = False
        self._waits = waits

    def run(self) -> None:
        end = _End()
        try:
            # wait for room before preparing an item, because a prepared item takes memory
            while self._has_room() and not isinstance(item := next(self._items, end), _End):
                self._made.put(item)
        except BaseException as error:  # raised again where the consumer waits for the item
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

"""An iterator that works in a thread of its own, a bounded number of items ahead of whoever takes them."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class _End:
    """Comes after the last item."""


@contextlib.contextmanager
def prefetch(items: Iterable[T], count: int) -> Iterator[Iterator[T]]:
    """Take from ``items`` in a thread; an exception of it is raised where the items are taken.

    Args:
        items: what to take; nothing else may use it meanwhile.
        count: how many may wait.
    """
    ready: queue.Queue[T | _End] = queue.Queue(count)
    stopped = threading.Event()

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def fill() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        finally:
            put(_End())

    with ThreadPoolExecutor(1, "ahead") as executor:
        future = executor.submit(fill)

        def taken() -> Iterator[T]:
            while not isinstance(item := ready.get(), _End):
                yield item
            future.result()

        try:
            yield taken()
        finally:
            stopped.set()

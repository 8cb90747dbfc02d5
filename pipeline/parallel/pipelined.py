"""Batches on their way through the network: the next one is there before the last one is done.

A network that computes one batch after another waits between them, for whoever brings the next; OpenVINO, whose cores
work on pieces of a batch, also waits for the core that is last. With another batch behind it nobody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Note = TypeVar("Note")

_DEPTH = 2  # batches on their way, the one that is computed among them


class Flight(Generic[Item, Result, Note]):
    """Calls of a function that are sent one after another and whose results come in that order.

    Args:
        function: what is called, in a thread of its own.
        at_once: calls that may go on at the same time; the others wait for their turn.
    """

    def __init__(self, function: Callable[[Item], Result], at_once: int = 1) -> None:
        self._function = function
        self._executor = ThreadPoolExecutor(at_once, "network")
        self._waiting: deque[tuple[Future[Result], Note]] = deque()

    def __enter__(self) -> Flight[Item, Result, Note]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a result has to be received before more is sent."""
        return len(self) >= _DEPTH

    def send(self, item: Item, note: Note) -> None:
        """Call the function with ``item``; ``note`` comes back with the result."""
        self._waiting.append((self._executor.submit(self._function, item), note))

    def receive(self) -> tuple[Result, Note]:
        """Wait for the oldest result.

        Raises:
            Exception: what the function raised.
            IndexError: nothing is on its way.
        """
        future, note = self._waiting.popleft()
        return future.result(), note


def in_flight(function: Callable[[Item], Result], items: Iterable[Item], at_once: int = 1) -> Iterator[Result]:
    """The results of a function for all ``items``, in order; the next calls are made before a result is asked for."""
    with Flight[Item, Result, None](function, at_once) as flight:
        for item in items:
            if flight.full:
                yield flight.receive()[0]
            flight.send(item, None)
        while flight:
            yield flight.receive()[0]


def calls_at_once(network: Callable) -> int:
    """How many calls of a network may go on at the same time: what it says of itself as ``at_once``, else one."""
    return getattr(network, "at_once", 1)

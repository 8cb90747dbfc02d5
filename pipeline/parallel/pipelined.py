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
Context = TypeVar("Context")

_DEPTH = 2  # batches on their way, the one that is computed among them


class PipelinedCalls(Generic[Item, Result, Context]):
    """Calls of a function that are sent one after another and whose results come in that order.

    Args:
        function: what is called, in a thread of its own.
        concurrent_calls: calls that may go on at the same time; the others wait for their turn.
    """

    def __init__(self, function: Callable[[Item], Result], concurrent_calls: int = 1) -> None:
        self._function = function
        self._executor = ThreadPoolExecutor(concurrent_calls, "network")
        self._waiting: deque[tuple[Future[Result], Context]] = deque()

    def __enter__(self) -> PipelinedCalls[Item, Result, Context]:
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

    def submit(self, item: Item, context: Context) -> None:
        """Call the function with ``item``; ``context`` comes back with the result."""
        self._waiting.append((self._executor.submit(self._function, item), context))

    def result(self) -> tuple[Result, Context]:
        """Wait for the oldest result.

        Raises:
            Exception: what the function raised.
            IndexError: nothing is on its way.
        """
        future, context = self._waiting.popleft()
        return future.result(), context


def pipelined(function: Callable[[Item], Result], items: Iterable[Item], concurrent_calls: int = 1) -> Iterator[Result]:
    """The results of a function for all ``items``, in order; the next calls are made before a result is asked for."""
    with PipelinedCalls[Item, Result, None](function, concurrent_calls) as calls:
        for item in items:
            if calls.full:
                yield calls.result()[0]
            calls.submit(item, None)
        while calls:
            yield calls.result()[0]


def concurrent_calls_of(network: Callable) -> int:
    """How many calls of a network may go on at the same time: its ``concurrent_calls``, else one."""
    return getattr(network, "concurrent_calls", 1)

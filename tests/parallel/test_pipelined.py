import threading

import pytest

from pipeline.parallel.pipelined import PipelinedCalls, concurrent_calls_of, pipelined


@pytest.mark.parametrize("concurrent_calls", [1, 2])
def test_results_come_in_order_whoever_is_first_done(concurrent_calls):
    """Every other call waits until the one behind it is done, where two may go on at a time."""
    done = [threading.Event() for _ in range(10)]

    def work(number: int) -> int:
        if concurrent_calls == 2 and number % 2 == 0:
            assert done[number + 1].wait(10)
        done[number].set()
        return number * number

    assert list(pipelined(work, range(10), concurrent_calls)) == [number * number for number in range(10)]


def test_the_next_item_is_sent_before_a_result_is_taken():
    """So that the network never waits for whoever works on its results."""
    sent = []

    def items():
        for number in range(6):
            sent.append(number)
            yield number

    results = pipelined(lambda number: number, items())
    assert next(results) == 0
    assert sent == [0, 1, 2]  # the third is asked for when two are on their way
    assert list(results) == [1, 2, 3, 4, 5]


def test_no_more_than_allowed_at_once():
    inside, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.01)
        with lock:
            inside -= 1

    assert len(list(pipelined(work, range(8), 1))) == 8
    assert most == 1


def test_what_a_call_raises_is_raised_with_its_result():
    def work(number: int) -> int:
        return 1 // number

    with PipelinedCalls(work) as calls:
        calls.submit(1, "first")
        calls.submit(0, "second")
        assert calls.full
        assert calls.result() == (1, "first")
        with pytest.raises(ZeroDivisionError):
            calls.result()
        assert not calls


def test_concurrent_calls_are_what_a_network_says_of_itself():
    class Several:
        concurrent_calls = 2

        def __call__(self, images):
            return images

    assert concurrent_calls_of(Several()) == 2
    assert concurrent_calls_of(lambda images: images) == 1

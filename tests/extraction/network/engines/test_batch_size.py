from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.network.backbone import Backbone
from pipeline.extraction.network.engines import batch_size
from pipeline.extraction.network.engines.batch_size import choose_batch, largest_batch, memory_per_image
from pipeline.extraction.network.weights import WeightsSource


@given(st.integers(1, 10**9), st.integers(0, 10**12))
def test_the_largest_batch_that_fits(each, room):
    batch = largest_batch(32, each, room)
    assert batch in (1, 2, 4, 8, 16, 32)
    assert batch == 1 or batch * each <= room
    assert batch == 32 or 2 * batch * each > room


def test_little_memory_makes_small_batches(monkeypatch):
    made = Backbone("tiny", weights=WeightsSource("random"), size=(64, 64), batch=0)
    assert (made.batch, made.batch_reason) == (32, "larger is not faster")
    each = memory_per_image(made.model)
    assert each == 2 * 4 * (64 * 64 * 3 + 32 * 32 * 16)
    monkeypatch.setattr(batch_size, "free_memory", lambda: 2 * 5 * each)
    assert choose_batch(each, on_gpu=False) == (4, "0.0 GB of memory are free")
    assert choose_batch(each, on_gpu=False, frames=16)[0] == 2  # clips of 16 frames: as many images as otherwise
    assert choose_batch(each, on_gpu=False, frames=100)[0] == 1
    larger = Backbone("tiny", weights=WeightsSource("random"), size=(128, 128), batch=0)
    assert larger.batch == 1

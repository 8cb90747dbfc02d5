from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.jobs.calibrate_int8 import spread_frames


@given(count=st.integers(1, 5000), frames=st.integers(1, 400))
def test_calibration_frames_are_spread_over_the_videos(count, frames):
    places, each = spread_frames(count, frames)
    assert places == sorted(set(places))
    assert 0 <= places[0] <= places[-1] < count
    assert each >= 3
    assert len(places) * each >= frames or len(places) == count
    assert (len(places) - 1) * each < max(frames, 4)
    # From one end of the catalog to the other, so that every class is met.
    assert len(places) == 1 or places[-1] >= count - -(-count // len(places))


@pytest.mark.parametrize(("count", "expected"), [(1, ([0], 300)), (2, ([0, 1], 150)), (150, (100, 3))])
def test_examples(count, expected):
    places, each = spread_frames(count, 300)
    assert (places if count < 3 else len(places), each) == expected

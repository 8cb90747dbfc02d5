"""The synthetic recordings: seeded, different, and really moving."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.media import open_video
from pipeline.videos.synthetic import SCENES, draw_match, draw_recordings


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw_recordings(folder, seed=3, recordings=3, seconds=(1.5, 3.0))


def test_there_is_a_folder_for_each_class(recordings):
    folder, paths = recordings
    catalog = open_catalog(folder)
    assert catalog.classes == sorted(SCENES)
    assert sorted(video.path for video in catalog) == sorted(paths)
    assert {path.suffix for path in paths} == {".mp4", ".avi"}


def test_recordings_differ_and_move(recordings):
    sizes, rates, lengths = set(), set(), set()
    for path in recordings[1]:
        with open_video(path) as video:
            info = video.info()
            images = [frame.image.astype(int) for frame in video.frames(range(0, info.frames, 3))]
        sizes.add((info.width, info.height))
        rates.add(round(info.fps, 2))
        lengths.add(info.frames)
        assert 1.4 < info.duration < 3.1
        assert np.ptp(images, axis=0).max() > 100
    assert min(len(sizes), len(rates)) >= 3
    assert len(lengths) >= 6


def test_the_seed_decides_the_pictures(recordings, tmp_path):
    folder, _ = recordings
    picture = {}
    for seed in (3, 4):
        path = draw_recordings(tmp_path / str(seed), seed=seed, classes=["Rain"], recordings=1, seconds=(1.5, 3.0))[0]
        with open_video(path) as video:
            picture[seed] = next(video.frames([5])).image
    with open_video(folder / "Rain" / "Rain_1.mp4") as video:
        assert np.array_equal(next(video.frames([5])).image, picture[3])
    assert picture[3].shape != picture[4].shape or not np.array_equal(picture[3], picture[4])


def test_a_match_shows_its_classes_one_after_the_other(tmp_path):
    path = draw_match(tmp_path / "Match.mp4", classes=["Ball", "Lamps"], seconds=(1.0, 1.0))
    with open_video(path) as video:
        images = [frame.image.astype(float) for frame in video.frames(range(40))]
        assert video.info().frames == 40
    changes = [np.abs(after - before).mean() for before, after in pairwise(images)]
    assert int(np.argmax(changes)) == 19  # the cut


def test_wrong_calls_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no synthetic class 'Snow'"):
        draw_recordings(tmp_path, classes=["Snow"])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        draw_recordings(tmp_path / "file", recordings=1, seconds=(1.0, 1.0))

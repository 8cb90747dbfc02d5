"""Folders of frames and single images are videos like others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.errors import VideoError
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.catalog.times import count_videos
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import FramesMissing
from pipeline.videos.quality.checks import check_video
from tests.media import draw_number, read_number


def write_frames(folder, count=12, *, name="video_1_{:05d}.png", first=0, size=(192, 96)):
    folder.mkdir(parents=True)
    for n in range(count):
        image = draw_number(first + n, width=size[0], height=size[1])
        (folder / name.format(n + 1)).write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return folder


def test_a_folder_of_frames_is_a_video(tmp_path):
    with open_video(write_frames(tmp_path / "вид 1", name="f{}.png")) as video:
        assert [(frame.index, read_number(frame.image)) for frame in video] == [(n, n) for n in range(12)]
        assert [read_number(frame.image) for frame in video.frames([1, 9, 10])] == [1, 9, 10]
        info = video.info()
        assert (info.frames, info.fps, info.width, info.height) == (12, pytest.approx(25), 192, 96)
        assert np.allclose(video.times(), np.arange(12) / 25)
        image = next(video.frames([7])).image
    assert np.array_equal(image, draw_number(7))  # The colours too: red is not blue.


def test_times_stand_in_a_table(tmp_path):
    folder = write_frames(tmp_path / "v", 3)
    (folder / "frames.csv").write_text("file,time\nvideo_1_00001.png,5\nvideo_1_00002.png,5.5\nvideo_1_00003.png,7\n")
    with open_video(folder) as video:
        assert video.times().tolist() == [0, 0.5, 2]
        assert [frame.time for frame in video] == [0, 0.5, 2]
    (folder / "frames.csv").write_text("file,time\nvideo_1_00001.png,5\n")
    with pytest.raises(VideoError, match="does not give every image"):
        open_video(folder)


def test_an_image_is_a_video_of_one_frame(tmp_path):
    write_frames(tmp_path / "v", 1, first=33)
    with open_video(tmp_path / "v" / "video_1_00001.png") as video:
        assert [read_number(frame.image) for frame in video] == [33]
        assert video.info().frames == 1
        assert video.info().duration == pytest.approx(0.04)


def test_a_damaged_image_is_missed(tmp_path):
    folder = write_frames(tmp_path / "v", 6)
    (folder / "video_1_00003.png").write_bytes(b"no image")
    (folder / "video_1_00005.png").write_bytes(b"")
    with open_video(folder) as video:
        with pytest.raises(FramesMissing, match=r"video_1_00003\.png cannot be decoded"):
            list(video.frames([1, 2, 3]))
        assert video.scan() == 4
        assert [read_number(frame.image) for frame in video] == [0, 1, 3, 5]
    facts = check_video("v", folder)
    assert [(problem.kind, problem.detail) for problem in facts.problems] == [
        ("damaged", "2 of 6 frames cannot be decoded")
    ]


def test_images_of_different_sizes_are_refused(tmp_path):
    folder = write_frames(tmp_path / "v", 2)
    write_frames(tmp_path / "w", 1, size=(96, 48))
    (tmp_path / "w" / "video_1_00001.png").rename(folder / "video_1_00003.png")
    with open_video(folder) as video, pytest.raises(VideoError, match=r"video_1_00003\.png is 96x48, unlike"):
        list(video)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(VideoError, match="holds no images"):
        open_video(tmp_path)


def test_the_catalog_finds_them(tmp_path):
    write_frames(tmp_path / "data" / "train" / "walk" / "video_1", 3)
    write_frames(tmp_path / "data" / "train" / "walk" / "video_2", 4)
    write_frames(tmp_path / "data" / "test" / "run", 2, name="photo{}.png")
    catalog = open_catalog(tmp_path / "data")
    assert [(video.name, video.label, video.split) for video in catalog] == [
        ("test/run/photo1.png", "run", "test"),
        ("test/run/photo2.png", "run", "test"),
        ("train/walk/video_1", "walk", "train"),
        ("train/walk/video_2", "walk", "train"),
    ]
    assert [(video.frames, error) for video, error in count_videos(catalog.videos)] == [
        (1, None),
        (1, None),
        (3, None),
        (4, None),
    ]
    (tmp_path / "list.csv").write_text("path,label\ndata/train/walk/video_1,walk\n")
    assert open_catalog(tmp_path / "list.csv").videos[0].path == tmp_path / "data" / "train" / "walk" / "video_1"


def test_with_a_table_of_labels_folders_are_videos(tmp_path):
    write_frames(tmp_path / "video_1", 3)
    write_frames(tmp_path / "video_2", 3, name="video_2_{:05d}.png")
    (tmp_path / "labels.csv").write_text("file,label\nvideo_1/video_1_00001.png,walk\n")
    assert [(video.name, video.label) for video in open_catalog(tmp_path)] == [("video_1", ""), ("video_2", "")]


def test_images_beside_videos_are_thumbnails(tmp_path):
    write_frames(tmp_path / "sheets", 2)
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "1.mp4").touch()
    catalog = open_catalog(tmp_path)
    assert [video.name for video in catalog] == ["walk/1.mp4"]
    assert catalog.skipped == {"images beside videos": 2}
    write_frames(tmp_path / "walk" / "frames_of_2", 1)
    (tmp_path / "walk" / "frames_of_2" / "frames.csv").write_text("file,time\nvideo_1_00001.png,0\n")
    assert [video.name for video in open_catalog(tmp_path)] == ["walk/1.mp4", "walk/frames_of_2"]

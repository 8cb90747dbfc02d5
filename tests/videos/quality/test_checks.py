"""Every planted fault is named rightly, and nothing else is."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.videos.catalog.catalog import Video, open_catalog
from pipeline.videos.media.ffmpeg import run_ffmpeg
from pipeline.videos.quality.checks import check_video, check_videos
from pipeline.videos.quality.dataset_checks import check_dataset
from pipeline.videos.quality.duplicates import find_duplicates
from pipeline.videos.quality.problems import KINDS, Problem, VideoFacts
from tests.media import draw_number, write_video

SHARED = Path(__file__).parents[4] / "shared" / "videos"

ODD = {
    "-video-with-dash-.mp4": {"uneven size", "size"},
    "corrupted.mp4": {"damaged"},
    "discard_first_keyframe.mp4": {"edit list"},
    "fire2.mp4": {"rotated"},
    "nasa_13013_rotated.mp4": {"rotated"},
    "nasa_13013_vfr.mp4": {"variable rate"},
    "no_duration.webm": {"dark"},
    "testsrc2_444_10bit_hevc.mp4": {"uneven size", "near duplicate"},
    "testsrc2_odd_dims_10bit.mp4": {"uneven size", "near duplicate"},
    "testsrc2_odd_height_and_width_mpeg2.mp4": {"uneven size"},
    "h265_10bits.mp4": {"near duplicate"},
    "unordered.mov": {"frozen"},
    "var_fps_video.mp4": {"variable rate"},
    "video_90.mov": {"rotated"},
    "video_180.mov": {"rotated"},
    "video_270.mov": {"rotated"},
    "zero_bytes.webm": {"unreadable"},
}
"""What is true of the files in the folder of odd ones; of the others nothing is to be said."""


def kinds_of(path: Path) -> set[str]:
    return {problem.kind for problem in check_video(path.name, path).problems}


def problems_in(folder: Path) -> dict[str, set[str]]:
    videos = open_catalog(folder).videos
    facts = sorted(check_videos(videos, workers=2), key=lambda fact: fact.name)
    found: dict[str, set[str]] = {}
    for problem in (
        [p for f in facts for p in f.problems] + check_dataset(videos, facts) + find_duplicates(videos, facts)
    ):
        found.setdefault(problem.video, set()).add(problem.kind)
    return found


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real videos is not there")
def test_odd_files_are_named_rightly():
    assert problems_in(SHARED / "odd") == ODD


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real videos is not there")
@pytest.mark.parametrize("name", ["actions", pytest.param("fights", marks=pytest.mark.slow)])
def test_no_false_alarm_on_good_videos(name):
    assert problems_in(SHARED / name) == {}


# -- planted faults --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["h264_mp4", "h264_mkv", "mpeg2_mpg", "mpeg4_avi", "mjpeg_avi", "vp9_webm", "h264_avi"]
)
def test_good_videos_have_no_problem(tmp_path, kind):
    assert kinds_of(write_video(tmp_path / kind, kind, frames=50)) == set()


def test_uneven_times(tmp_path):
    assert kinds_of(write_video(tmp_path / "v", "h264_vfr_mp4", frames=50)) == {"variable rate"}


@pytest.mark.parametrize("kind", ["h264_mp4", "h264_mkv", "mpeg4_avi", "mpeg2_ts"])
def test_garbage_in_the_middle(tmp_path, kind):
    path = write_video(tmp_path / kind, kind, frames=100)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(0).integers(0, 256, 300, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    # Matroska may lose a whole cluster; what is left decodes without an error.
    assert kinds_of(path) & ({"damaged", "gap"} if kind == "h264_mkv" else {"damaged"})


@pytest.mark.parametrize("kind", ["h264_mp4", "h264_mkv", "mpeg4_avi", "mjpeg_avi"])
def test_half_a_file(tmp_path, kind):
    path = write_video(tmp_path / kind, kind, frames=200)
    if kind == "h264_mp4":  # With its index at the end, half of it would be no video at all.
        run_ffmpeg(["-i", str(path), "-c", "copy", "-movflags", "+faststart", str(tmp_path / "fast.mp4")])
        path = tmp_path / "fast.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert "truncated" in kinds_of(path)


def test_a_header_that_lies(tmp_path):
    path = write_video(tmp_path / "v", "mpeg4_avi", frames=100)
    data = path.read_bytes()
    header = data.index(b"strh")
    place = header + 8 + 32  # dwLength of the stream header
    assert int.from_bytes(data[place : place + 4], "little") == 100
    path.write_bytes(data[:place] + (101).to_bytes(4, "little") + data[place + 4 :])
    assert kinds_of(path) == {"header"}


def test_no_video(tmp_path):
    run_ffmpeg(["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(tmp_path / "sound.mp4")])
    (tmp_path / "text.mp4").write_text("x" * 1000)
    assert kinds_of(tmp_path / "sound.mp4") == {"no video"}
    assert kinds_of(tmp_path / "text.mp4") == kinds_of(tmp_path / "missing.mp4") == {"unreadable"}


def test_dark_and_frozen(tmp_path):
    def dark(number, **size):
        return draw_number(number, **size) // 12

    def still(number, **size):
        return draw_number(5, **size)

    assert kinds_of(write_video(tmp_path / "dark.mp4", draw=dark)) == {"dark"}
    assert kinds_of(write_video(tmp_path / "still.mp4", draw=still)) == {"frozen"}


def test_odd_size(tmp_path):
    assert kinds_of(write_video(tmp_path / "v.mkv", "ffv1_mkv", frames=10, size=(193, 97))) == {"uneven size"}


# -- sets ------------------------------------------------------------------------------------------


def moving(seed: int, background: int = 7):
    """Images of dots that wander over a fixed background."""

    def draw(number, *, width, height):
        ground = np.random.default_rng(background).integers(40, 200, (6, 8, 3)).astype(np.uint8)
        image = cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR)
        rng = np.random.default_rng(seed)
        for _ in range(4):
            place, speed = rng.uniform(0, 1, 2), rng.uniform(-0.02, 0.02, 2)
            x, y = np.mod(place + speed * number, 1) * (width, height)
            cv2.circle(image, (int(x), int(y)), height // 8, rng.integers(0, 256, 3).tolist(), -1)
        return image

    return draw


def test_duplicates(tmp_path):
    good = write_video(tmp_path / "train" / "a" / "one.mp4", draw=moving(1), size=(256, 192))
    for name in ("train/a/same.mp4", "test/a/leak.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(good.read_bytes())
    write_video(tmp_path / "train" / "a" / "other.mp4", draw=moving(2), size=(256, 192))
    (tmp_path / "train" / "b").mkdir()
    smaller = ["-vf", "scale=160:120,eq=brightness=0.05", "-c:v", "mpeg4", "-q:v", "6"]
    run_ffmpeg(["-i", str(good), *smaller, str(tmp_path / "train" / "b" / "again.avi")])
    assert problems_in(tmp_path) == {
        "train/a/one.mp4": {"exact duplicate across"},
        "train/a/same.mp4": {"exact duplicate across"},
        "train/b/again.avi": {"near duplicate across"},
        "": {"balance"},
    }


def test_a_duplicate_is_named_once_and_with_its_original():
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 255, (8, 16, 16)).astype(np.uint8)
    facts = [
        VideoFacts("a.mp4", 10, digest="1", duration=1.0, patches=patches),
        VideoFacts("b.mp4", 10, digest="1", duration=1.0, patches=patches),
        VideoFacts(
            "c.mp4", 10, digest="2", duration=1.0, patches=np.clip(patches.astype(int) + 3, 0, 255).astype(np.uint8)
        ),
        VideoFacts("d.mp4", 10, digest="3", duration=1.0, patches=rng.integers(0, 255, (8, 16, 16)).astype(np.uint8)),
        VideoFacts("e.mp4", 10, digest="4", duration=2.0, patches=patches),
    ]
    videos = [Video(f.name, Path(f.name), "x", "train") for f in facts]
    assert find_duplicates(videos, facts) == [
        Problem("b.mp4", "exact duplicate", "of a.mp4"),
        Problem("c.mp4", "near duplicate", "of a.mp4"),
    ]
    videos[1] = replace(videos[1], split="test")
    videos[2] = replace(videos[2], label="y")
    assert [(p.kind, p.detail) for p in find_duplicates(videos, facts)] == [
        ("exact duplicate across", "of a.mp4 (split test and train)"),
        ("near duplicate across", "of a.mp4 (class y and x)"),
    ]


def test_still_videos_are_duplicates_only_if_they_look_alike():
    shade = [np.full((8, 16, 16), level, np.uint8) for level in (50, 50, 50)]
    shade[0][:, :8] = shade[1][:, :8] = 90
    shade[2][:, :, :8] = 90
    facts = [VideoFacts(f"{i}.mp4", 5, digest=str(i), duration=1.0, patches=patches) for i, patches in enumerate(shade)]
    videos = [Video(fact.name, Path(fact.name), "x") for fact in facts]
    assert [(p.video, p.detail) for p in find_duplicates(videos, facts)] == [("1.mp4", "of 0.mp4")]


def test_outliers_and_balance():
    facts = [VideoFacts(f"{i}.mp4", 50, duration=2 + i % 3, width=320, height=240) for i in range(20)]
    facts[3] = replace(facts[3], duration=60.0)
    facts[4] = replace(facts[4], width=16, height=12)
    videos = [Video(fact.name, Path(fact.name), "a" if i else "b", "train") for i, fact in enumerate(facts)]
    videos[19] = replace(videos[19], split="test")
    assert {(p.video, p.kind) for p in check_dataset(videos, facts)} == {
        ("3.mp4", "length"),
        ("4.mp4", "size"),
        ("", "balance"),
    }
    details = [p.detail for p in check_dataset(videos, facts) if p.kind == "balance"]
    assert details == ["class b has 1 videos, a has 19", "test has no videos of b"]
    assert all(p.kind in KINDS for p in check_dataset(videos, facts))


def test_a_file_that_crashes_or_hangs_the_decoder_costs_itself_only(tmp_path, sabotage):
    for name in ("0", "1", "2", "crashes", "hangs"):
        write_video(tmp_path / f"{name}.mp4", frames=5)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    began = time.monotonic()
    facts = {fact.name: fact for fact in check_videos(open_catalog(tmp_path).videos, workers=2, timeout=1.0)}
    assert [fact.frames for name, fact in sorted(facts.items())] == [5, 5, 5, 0, 0, 0, 0]
    for name, reason in (
        ("crashes", "the decoder crashed (SIGSEGV) after "),
        ("hangs", "the decoder hung: no sign of life for 1 s"),
        ("pipe", "this is a pipe, not a regular file"),
        ("zero", "this is a device, not a regular file"),
    ):
        (problem,) = facts[f"{name}.mp4"].problems
        assert problem.kind == "unreadable"
        assert problem.detail.startswith(reason)
    assert time.monotonic() - began < 60

"""Stage one on clips of frames, by content: which frames are in each, decoded once, and what the store says of them."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.extraction.features import decode_task
from pipeline.extraction.features.decode_task import DecodeSpec, Images, VideoOpened, decode_videos
from pipeline.extraction.inputs.clip_frames import clips_of
from pipeline.extraction.recipe import Recipe
from pipeline.extraction.store.import_export import export_hdf5, export_parquet
from pipeline.extraction.store.store import FeatureStore, read_recipe
from pipeline.extraction.store.timesteps import StoredSteps
from pipeline.extraction.store.verify import check_shards
from pipeline.videos.media import open_video
from pipeline.videos.media.frame import Frame, FramesMissing
from pipeline.videos.media.reader import VideoReader
from pipeline.videos.media.sampling import Sampling
from tests.extraction.conftest import CLIPS_RECIPE, RECIPE, first_and_last
from tests.extraction.jobs.test_extract import contents
from tests.media import read_number, uneven_times, write_video

TALL = replace(CLIPS_RECIPE, height=48, width=96)


def decoded(path: Path, *recipes: Recipe, workers: int = 0) -> tuple[VideoOpened, list[Images]]:
    sampling = Sampling.parse(recipes[0].sampling)
    with decode_videos([("a", path, sampling)], DecodeSpec(recipes), workers=workers) as pool:
        told = [message for _, message in (found for found in pool.messages(1.0) if found)]
    return told[0], [message for message in told if isinstance(message, Images)]


def on_screen(times: np.ndarray, tick: float) -> int:
    return max(number for number, second in enumerate(times) if second <= tick + 1e-3)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("sampling", ["clips:4@12.5/0.16", "clips:3@5/1", "clips:8@50/0.64", "clips:2@1/0.25"])
@pytest.mark.parametrize("kind", ["h264_mp4", "h264_vfr_mp4", "h264_mkv", "mpeg4_avi"])
def test_every_clip_has_exactly_its_frames(kind, sampling, workers, tmp_path):
    """Overlapping and with gaps, slower and faster than the video, of even and uneven times."""
    path = write_video(tmp_path / "a", kind, frames=60, first=700)
    with open_video(path) as reader:
        times = reader.times()
    rule = Sampling.parse(sampling)
    opened, messages = decoded(path, replace(TALL, sampling=sampling), workers=workers)
    seen = np.concatenate([message.images[0] for message in messages])
    starts = np.concatenate([message.times for message in messages])
    assert seen.shape[1:] == (rule.clip, 48, 96, 3)
    assert starts.tolist() == [k * rule.apart for k in range(len(starts))]
    ticks = np.arange(rule.clip) / rule.rate
    expected = [[on_screen(times, start + tick) for tick in ticks] for start in starts]
    assert [[read_number(image) - 700 for image in clip] for clip in seen] == expected
    assert np.concatenate([message.frames for message in messages]).tolist() == [numbers[0] for numbers in expected]
    assert opened.frames.tolist() == [numbers[0] for numbers in expected]
    assert opened.ends is not None
    assert opened.ends.frames.tolist() == [numbers[-1] for numbers in expected]
    np.testing.assert_allclose(opened.ends.times, starts + rule.clip / rule.rate)
    # One more clip would end after the video.
    assert starts[-1] + rule.apart + ticks[-1] > times[-1]


def test_a_video_shorter_than_a_clip_is_one_clip_whose_last_frame_is_repeated(tmp_path):
    path = write_video(tmp_path / "a", frames=5, first=40)
    opened, (message,) = decoded(path, replace(TALL, sampling="clips:8@25/0.1"))
    assert [read_number(image) for image in message.images[0][0]] == [40, 41, 42, 43, 44, 44, 44, 44]
    assert (opened.ends.times.tolist(), opened.ends.frames.tolist()) == ([8 / 25], [4])


def test_a_jump_in_time_gives_a_few_clips_of_one_image(tmp_path):
    times = [number / 25 for number in range(30)] + [3000 + number / 25 for number in range(30)]
    path = write_video(tmp_path / "a", "h264_mkv", frames=60, times=times)
    opened, messages = decoded(path, TALL)
    seen = [[read_number(image) for image in clip] for message in messages for clip in message.images[0]]
    assert [numbers for numbers in seen if len(set(numbers)) == 1] == [[29] * 4] * 2
    starts = np.concatenate([message.times for message in messages])
    assert seen == [[on_screen(np.array(times), start + tick) for tick in (0, 0.08, 0.16, 0.24)] for start in starts]
    assert seen[-1][-1] >= 54
    assert len(seen) == len(opened.frames) < 20


def test_each_frame_is_decoded_once_although_clips_overlap(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a", frames=60)
    made = []
    to_rgb = VideoReader._to_rgb
    monkeypatch.setattr(VideoReader, "_to_rgb", lambda self, frame: made.append(frame.pts) or to_rgb(self, frame))
    _, messages = decoded(path, replace(TALL, sampling="clips:8@25/0.08"))
    assert sum(len(message.images[0]) for message in messages) == 27
    assert len(made) == 60 + 1  # the first one also for the size of the video


def test_a_message_holds_as_many_clips_as_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_task, "CHUNK_BYTES", 3 * 4 * 48 * 96 * 3)
    path = write_video(tmp_path / "a", frames=60)
    _, messages = decoded(path, TALL)
    assert [len(message.images[0]) for message in messages][:-1] == [3] * (len(messages) - 1)
    assert len(messages) > 2


def test_only_frames_are_held_that_a_clip_still_needs():
    steps = Sampling.parse("clips:8@10/0.2").steps(np.arange(2000) / 10)
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def frames():
        nonlocal alive, most
        for number in steps.needed.tolist():
            image = np.full((2, 2, 3), number % 256, np.uint8)
            weakref.finalize(image, gone)
            alive += 1
            most = max(most, alive)
            yield (Frame(number, number / 10, image),)

    count = sum(1 for _ in clips_of(frames(), steps))
    assert count == len(steps) == 997
    assert 8 <= most <= 12


def test_two_networks_see_the_same_clips(tmp_path):
    path = write_video(tmp_path / "a", frames=40)
    _, messages = decoded(path, TALL, replace(TALL, height=24, width=48))
    for large, small in ((message.images[0], message.images[1]) for message in messages):
        assert (large.shape[2:4], small.shape[2:4]) == ((48, 96), (24, 48))
        assert [[read_number(image) for image in clip] for clip in large] == [
            [read_number(image) for image in clip] for clip in small
        ]


def test_a_damaged_stretch_gives_the_clips_of_what_decodes(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a", "mjpeg_avi", frames=60)
    sparse, scanned = VideoReader._sparse, []

    def missing(self, wanted):
        if not scanned:
            yield from list(sparse(self, wanted))[:3]
            scanned.append(True)
            raise FramesMissing("decode", "frame 3 cannot be decoded")
        yield from sparse(self, wanted)

    monkeypatch.setattr(VideoReader, "_sparse", missing)
    recipe = replace(TALL, sampling="clips:3@5/1")
    with decode_videos([("a", path, Sampling.parse(recipe.sampling))], DecodeSpec((recipe,)), workers=0) as pool:
        told = [message for _, message in (found for found in pool.messages(1.0) if found)]
    opened = [place for place, message in enumerate(told) if isinstance(message, VideoOpened)]
    assert len(opened) == 2
    seen = np.concatenate([message.images[0] for message in told[opened[1] :] if isinstance(message, Images)])
    assert [[read_number(image) for image in clip] for clip in seen] == [[0, 5, 10], [25, 30, 35]]


# -- the store -------------------------------------------------------------------------------------


@pytest.fixture
def store(videos, extract, tmp_path) -> Path:
    progress = extract(videos, recipe=CLIPS_RECIPE, network=first_and_last, dtype="float32")
    assert (progress.done, progress.failed, progress.unit) == (6, 0, "step")
    assert progress.expected == progress.frames
    return tmp_path / "store"


def test_times_ends_and_features_are_those_of_the_clips(store):
    opened = FeatureStore(store)
    for video in opened.catalog:
        with open_video(video.path) as reader:
            times = reader.times()
        sequence = opened.read(video.name)
        steps = Sampling.parse(CLIPS_RECIPE.sampling).steps(times)
        assert sequence.times.tolist() == steps.times.tolist()
        assert sequence.frames.tolist() == steps.frames.tolist()
        assert sequence.ends is not None
        assert sequence.ends.times.tolist() == steps.ends.times.tolist()
        assert sequence.ends.frames.tolist() == steps.ends.frames.tolist()
        assert sequence.ends.frames.dtype == np.int64
        # By content: 4 columns for each of 12 bits.
        for part, numbers in ((slice(0, 48), sequence.frames), (slice(48, 96), sequence.ends.frames)):
            bits = sequence.features[:, part].reshape(-1, 12, 4)[..., 1:3].mean(axis=-1) > 127
            found = (bits << np.arange(12)[::-1]).sum(axis=1)
            base = (1000 if "right" in video.name else 0) + 100 * int(video.name.rpartition("clip")[2][0])
            assert (found - base).tolist() == numbers.tolist()
    assert [report.problems for report in check_shards(store)] == [[]]


def test_it_is_of_format_2_and_one_of_frames_of_format_1(store, videos, extract, tmp_path):
    extract(videos, tmp_path / "frames")
    for folder, number in ((store, 2), (tmp_path / "frames", 1)):
        assert json.loads((folder / "recipe.json").read_text())["format"] == number
        for path in folder.glob("shard-*.h5"):
            with h5py.File(path) as shard:
                assert shard.attrs["format"] == number
                assert ("end_times" in shard, "end_frames" in shard) == (number == 2, number == 2)
        content = json.loads((folder / "recipe.json").read_text())
        (folder / "recipe.json").write_text(json.dumps(content | {"format": 3 - number}))
        with pytest.raises(UserError, match=r"cannot be read \(format"):
            read_recipe(folder)
        (folder / "recipe.json").write_text(json.dumps(content | {"format": 3}))
        with pytest.raises(UserError, match="has store format 3; this version reads formats 1 and 2, so update it"):
            read_recipe(folder)


def test_nothing_is_done_twice_and_a_copy_has_its_ends(store, videos, extract):
    before = contents(store)
    (videos / "left/again.mp4").write_bytes((videos / "left/clip0.mp4").read_bytes())
    progress = extract(videos, recipe=CLIPS_RECIPE, network=first_and_last, dtype="float32")
    assert (progress.done, progress.copied, progress.frames) == (0, 1, 0)
    after = contents(store)
    assert after.pop("left/again.mp4") == before["left/clip0.mp4"]
    assert after == before


def test_a_bad_video_among_good_ones_is_a_row(videos, extract, tmp_path):
    (videos / "left/bad.mp4").write_bytes(b"no video" * 100)
    progress = extract(videos, recipe=CLIPS_RECIPE, network=first_and_last)
    assert (progress.done, progress.failed) == (6, 1)
    assert "left/bad.mp4" in (tmp_path / "store/failures.csv").read_text()


def test_it_is_thinned_as_if_it_had_been_extracted_so(store, videos, extract, tmp_path):
    sparse = replace(CLIPS_RECIPE, sampling="clips:4@12.5/0.48")
    extract(videos, tmp_path / "sparse", recipe=sparse, network=first_and_last, dtype="float32")
    thinned = FeatureStore(store, sampling=Sampling.parse(sparse.sampling))
    wanted = FeatureStore(tmp_path / "sparse")
    for one, other in zip(
        sorted(thinned.sequences(thinned.entries), key=lambda each: each.video),
        sorted(wanted.sequences(wanted.entries), key=lambda each: each.video),
        strict=True,
    ):
        np.testing.assert_array_equal(one.features, other.features)
        for name in ("times", "frames"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()
            assert getattr(one.ends, name).tolist() == getattr(other.ends, name).tolist()
    names = sorted(thinned.entries)
    assert StoredSteps(thinned, names).last_frames.tolist() == [
        number
        for name in sorted(StoredSteps(thinned, names).first, key=StoredSteps(thinned, names).first.get)
        for number in thinned.read(name).ends.frames.tolist()
    ]
    with pytest.raises(UserError, match="need not hold the frames of fps:2"):
        FeatureStore(store, sampling=Sampling.parse("fps:2"))


def test_it_is_exported_with_its_ends(store, tmp_path):
    opened = FeatureStore(store)
    list(export_hdf5(opened, tmp_path / "all.h5"))
    with h5py.File(tmp_path / "all.h5") as file:
        for row, name in enumerate(file["names"].asstr()[:]):
            steps = int(file["mask"][row].sum())
            assert file["end_times"][row, :steps].tolist() == opened.read(name).ends.times.tolist()
    parquet = pytest.importorskip("pyarrow.parquet")
    list(export_parquet(opened, tmp_path / "all.parquet"))
    table = parquet.read_table(tmp_path / "all.parquet").to_pydict()
    sequences = list(opened.sequences([video.name for video in opened.catalog]))
    assert table["end_time"] == [time for each in sequences for time in each.ends.times.tolist()]
    assert table["end_frame"] == [number for each in sequences for number in each.ends.frames.tolist()]


def drop(shard: h5py.File) -> None:
    del shard["end_times"]


def lead_elsewhere(shard: h5py.File) -> None:
    del shard["end_frames"]
    shard["end_frames"] = h5py.ExternalLink("other.h5", "end_frames")


def of_another_shape(shard: h5py.File) -> None:
    del shard["end_times"]
    shard["end_times"] = np.zeros((1, 1))


def of_format_1_without(shard: h5py.File) -> None:
    shard.attrs["format"] = 1
    del shard["end_times"], shard["end_frames"]


@pytest.mark.parametrize("spoil", [drop, lead_elsewhere, of_another_shape, of_format_1_without])
def test_a_shard_without_good_ends_is_one_line(spoil, store):
    path = next(store.glob("shard-*.h5"))
    with h5py.File(path, "a") as shard:
        spoil(shard)
    assert any(report.problems for report in check_shards(store))
    opened = FeatureStore(store)
    with pytest.raises(UserError, match="is damaged") as refused:
        opened.read(next(iter(opened.entries)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("end_times", np.nan), ("end_times", -1.0), ("end_frames", -1), ("frames", 10**6)]
)
def test_ends_that_cannot_be_are_found(name, value, store):
    path = next(store.glob("shard-*.h5"))
    with h5py.File(path, "a") as shard:
        shard[name][0, 0] = value
    assert [problem for report in check_shards(store) for problem in report.problems]


def test_uneven_times_go_through_a_store(tmp_path, extract):
    write_video(tmp_path / "data/a/clip.mp4", "h264_vfr_mp4", frames=50, times=uneven_times(50, seed=3))
    extract(tmp_path / "data", recipe=CLIPS_RECIPE, network=first_and_last)
    sequence = FeatureStore(tmp_path / "store").read("a/clip.mp4")
    np.testing.assert_allclose(np.diff(sequence.times), 0.16)
    assert sequence.ends.frames[0] == on_screen(np.array(uneven_times(50, seed=3)), 0.24)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": "difference"}, "`input=difference` shows a network the motion at single frames"),
        ({"input": "farneback"}, "`input=farneback` shows a network the motion"),
        ({"reuse_static": 1.0}, "`reuse_static` compares single frames; leave it out"),
        ({"backbone": "frames", "layer": "pixels"}, "a frame cache keeps single frames"),
        ({"quantised": "0" * 64}, "`precision=int8` is for networks of single images"),
    ],
)
def test_what_has_no_meaning_with_clips_is_one_line(changes, said):
    with pytest.raises(UserError) as refused:
        replace(RECIPE, sampling="clips:16@8/1", **changes)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)

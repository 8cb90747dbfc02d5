from __future__ import annotations

import numpy as np
import pytest

from pipeline.cli import command
from pipeline.commands.training import evaluate, train
from pipeline.errors import UserError
from pipeline.extraction.recipe import FRAME_CACHE, PIXELS, Recipe
from pipeline.extraction.store.shard_writer import StoreWriter
from pipeline.extraction.store.store import CATALOG_FILE, FeatureStore
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.data.dataset import open_dataset, windows_of
from pipeline.training.data.fusion import check_sources, fuse_stores
from pipeline.training.data.windows import WindowSpec
from pipeline.videos.catalog.catalog_table import write_catalog
from pipeline.videos.catalog.source_file import SourceFile

MOTION = Recipe("uniform:6", "tiny", "0" * 64, 32, 32, input="farneback")


def write_second(store, folder, *, recipe=MOTION, leave_out=(), shift=0, shape=(5,)):
    """A store of the same videos in another order, whose features count the frames of each."""
    one = FeatureStore(store)
    with StoreWriter(folder, recipe, dtype="float16") as writer:
        for name in sorted(one.entries, reverse=True):
            if name in leave_out:
                continue
            sequence = one.read(name)
            buffer = writer.buffer()
            features = np.ones((len(sequence.frames), *shape)) * (1 + sequence.frames).reshape(-1, *[1] * len(shape))
            buffer.append(features, sequence.times.tolist(), (sequence.frames + shift).tolist())
            writer.add(name, buffer, SourceFile(1, 1, "", frames=len(sequence.frames), duration=1.0))
    write_catalog([video for video in one.catalog if video.name not in leave_out], folder / CATALOG_FILE)
    return folder


@pytest.mark.parametrize("memory", [None, 0])
def test_features_lie_side_by_side(store, tmp_path, memory):
    one = open_dataset(store, memory=memory)
    both = fuse_stores(one, open_dataset(write_second(store, tmp_path / "second"), memory=memory))
    assert both.shape == (17,)
    assert both.features.in_memory == (memory is None)
    assert both.features.nbytes == len(both.features) * (12 * 4 + 5 * 2)
    windows = windows_of(both, np.arange(len(both)), WindowSpec(4, 2))
    features, mask = windows.gather(np.arange(len(windows)))
    alone, same = windows_of(one, np.arange(len(one)), WindowSpec(4, 2)).gather(np.arange(len(windows)))
    np.testing.assert_array_equal(mask, same)
    np.testing.assert_array_equal(features[..., :12], alone)
    numbers = np.where(mask, windows.start[:, None] + np.arange(4) + 1, 0)
    np.testing.assert_array_equal(features[..., 12:], np.broadcast_to(numbers[..., None], (*mask.shape, 5)))


def test_stores_that_cannot_be_joined(store, data, tmp_path):
    def second(name, **changes):
        return open_dataset(write_second(store, tmp_path / name, **changes))

    with pytest.raises(UserError, match=r"has other steps in .*shifted \(uniform:6, \d steps\) than in"):
        fuse_stores(data, second("shifted", shift=1))
    lost = data.videos[3].name
    with pytest.raises(UserError, match=f"lacks {lost}, which .* has; extract it there too"):
        fuse_stores(data, second("lacking", leave_out=(lost,)))
    with pytest.raises(UserError, match="have the same recipe"):
        fuse_stores(data, data)
    frames = Recipe("uniform:6", FRAME_CACHE, "", 2, 2, layer=PIXELS)
    with pytest.raises(UserError, match=r"joined are two stores of features, or two of frames of one size"):
        fuse_stores(data, second("frames", recipe=frames, shape=(2, 2, 3)))


def test_a_checkpoint_of_two_stores_wants_both(store, tmp_path, capsys):
    second = write_second(store, tmp_path / "second")
    out = tmp_path / "both"
    arguments = [str(store), "--out", str(out), "--head", "mlp", "--units", "8", "--epochs", "2", "--members", "1"]

    def call(module, *arguments):
        status = command.run(module.main, [str(argument) for argument in arguments], parser=module.parser)
        return status, capsys.readouterr()

    assert call(train, *arguments, "--fuse", second)[0] == 0
    checkpoint = Checkpoint.load(out)
    assert (checkpoint.sources[1].recipe, checkpoint.dimensions) == (MOTION, 17)
    assert "tiny, avg_pool + tiny, avg_pool of farneback, 17 values a frame" in (out / "report.html").read_text()
    status, printed = call(evaluate, out, store, "--fuse", second)
    assert status == 0
    assert f"accuracy {checkpoint.metrics['accuracy']['test']:.3f}" in printed.out
    status, printed = call(evaluate, out, store)
    assert status == 2
    assert "was trained on two stores; name the second one (tiny, input farneback) by" in printed.err
    other = write_second(store, tmp_path / "other", recipe=Recipe("uniform:6", "tiny", "0" * 64, 32, 32, input="dis"))
    status, printed = call(evaluate, out, store, "--fuse", other)
    assert "the joined store has features of another recipe" in printed.err
    assert "input dis, not farneback" in printed.err
    with pytest.raises(UserError, match="was trained on one store; leave out `fuse`"):
        check_sources(out, checkpoint.sources[:1], checkpoint.sources)

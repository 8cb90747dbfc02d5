"""Folders of frames are videos like others: extracted, found done, and extracted again when a frame changes."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from pipeline.errors import VideoError
from pipeline.extraction.store.store import FeatureStore
from pipeline.videos.catalog.source_file import SourceFile, sha256


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data" / "a" / "walk"
    path.mkdir(parents=True)
    for number in range(6):
        cv2.imwrite(str(path / f"{number}.png"), np.full((24, 48, 3), 40 * number, np.uint8))
    return path


def test_a_folder_of_frames_is_extracted_once_and_again_when_a_frame_changes(folder, extract):
    data = folder.parents[1]
    shutil.copytree(folder, data / "b" / "same")
    assert (first := extract(data)).done + first.copied == 2
    assert not first.failed
    features = FeatureStore(data.parent / "store").read("a/walk").features
    assert np.allclose(features.mean(axis=1), np.arange(6) * 40)
    assert extract(data).done == 0
    cv2.imwrite(str(folder / "3.png"), np.full((24, 48, 3), 255, np.uint8))
    assert extract(data).done == 1


def test_state_and_digest_see_every_frame(folder):
    before, digest = SourceFile.of(folder), sha256(folder)
    (folder / "notes.txt").write_text("no frame")
    assert (SourceFile.of(folder), sha256(folder)) == (before, digest)
    (folder / "5.png").rename(folder / "6.png")
    assert sha256(folder) != digest
    assert SourceFile.of(folder).size == sum(file.stat().st_size for file in folder.glob("*.png"))
    with pytest.raises(VideoError, match="does not exist"):
        SourceFile.of(folder / "7.png")

"""What ``make fuzz`` found: each was a traceback, a hang, or no single line once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.errors import UserError, VideoError
from pipeline.extraction.store.store import FeatureStore
from pipeline.files.guard import hdf5
from pipeline.videos.catalog.catalog import read_catalog
from pipeline.videos.labels.annotation_formats import read_annotations
from pipeline.videos.labels.segments import read_segments
from tests.extraction.store.test_store import write


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("boris.csv", "Media file name,behavior type,Time,x behavior\na.mp4,START,1,x\n", read_annotations),
        ("boris.csv", "Media file name,Start (s),Stop (s),x behavior\na.mp4,1,2,x\n", read_annotations),
        ("segments.csv", f"video,start,end,label\na.mp4,{'x' * 5000},2,walk\n", read_segments),
        ("catalog.csv", f"path,split\na.mp4,{'x' * 5000}\n", read_catalog),
        ("catalog.csv", f"{'[' * 2000}\na.mp4\n", read_catalog),
    ],
)
def test_a_damaged_table_is_one_line(name, text, read, tmp_path: Path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as told:
        read(tmp_path / name)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 2000


@pytest.mark.parametrize("error", [UserError("a\nb\r\u2028c" + "x" * 9000), VideoError("open", "a\nb" + "x" * 9000)])
def test_mistakes_are_one_line_whatever_came(error):
    assert "a b" in str(error)
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 1600


@pytest.mark.parametrize("quickly_read", [4 << 20, 0], ids=["small", "large"])
def test_a_heap_of_texts_that_leads_in_a_circle_is_one_line(tmp_path, monkeypatch, quickly_read):
    """HDF5 itself would never come back."""
    monkeypatch.setattr(hdf5, "_QUICKLY_READ", quickly_read)
    write(tmp_path, {"a.mp4": 4})
    path = next(tmp_path.glob("shard-*.h5"))
    content = bytearray(path.read_bytes())
    place = content.find(b"GCOL")
    assert place > 0
    content[place + 16 : place + 32] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(UserError, match="leads in a circle"):
        _ = FeatureStore(tmp_path).entries


def test_many_heaps_that_lie_one_over_another_take_no_time(tmp_path):
    write(tmp_path, {"a.mp4": 4})
    path = next(tmp_path.glob("shard-*.h5"))
    heap = b"GCOL\x01\0\0\0" + (2 << 20).to_bytes(8, "little")
    path.write_bytes(path.read_bytes() + heap * 200_000)
    began = time.monotonic()
    assert list(FeatureStore(tmp_path).entries) == ["a.mp4"]
    assert time.monotonic() - began < 10

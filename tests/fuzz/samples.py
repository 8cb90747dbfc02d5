"""Whole files of every kind that is read, to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.media import Kind, write_video
from tests.training.stores import write_store

VIDEOS = {
    "h264.mp4": Kind("mp4", "libx264", options={"preset": "veryfast", "g": "6", "bf": "2"}),
    "mpeg4.avi": Kind("avi", "mpeg4", options={"g": "6", "flags": "+qscale"}),
    "vp9.webm": Kind("webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "6"}),
    "picture.gif": Kind("gif", "gif", "rgb8"),
    "h264.mkv": Kind("mkv", "libx264", options={"preset": "veryfast", "g": "6"}),
    "mpeg2.ts": Kind("ts", "mpeg2video", options={"g": "6", "flags": "+qscale"}),
}
TABLES = {
    "catalog.csv": "split,label,path,video,group,frames,fps,width,height,duration\n"
    "train,x,a/1.mp4,a/1.mp4,g,9,25,4,4,1\n"
    "val,y,b/2.mp4,b/2.mp4,h,9,25,4,4,1\n",
    "segments.csv": "video,start,end,label\na.mp4,0,1.5,x\na.mp4,00:01:02.5,1:03,y\n",
    "frames.csv": "video,frame,label\na.mp4,0,x\na.mp4,1,y\n",
    "clips.csv": "clip,source,source_id,start,end,first_frame,end_frame,group,settings\n"
    "a.mp4,/x/b.mp4,b-1,0,1,0,25,b,s\n",
    "problems.csv": "severity,problem,video,label,split,detail\nfault,damaged,a.mp4,x,train,it is\n",
    "failures.csv": "video,stage,reason,time,size,mtime_ns\na.mp4,open,empty,2026-01-01,0,0\n",
    "labels.srt": "1\n00:00:00,000 --> 00:00:01,500\nwalk\n\n2\n00:00:02,000 --> 00:00:03,500\nrun\n",
    "labels.vtt": "WEBVTT\n\n00:00.000 --> 00:01.500\nwalk\n",
    "via.csv": '# ATTRIBUTE = {"1":{"aname":"action","options":{"a":"walk"}}}\n'
    "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n"
    '"1","[""a.mp4""]",0,"[1.5,2.5]","[]","{""1"":""a""}"\n',
    "elan.txt": "tier\t0\t1500\twalk\ntier\t2000\t3000\trun\n",
    "boris.csv": "Observation id,Media file name,Subject,Behavior,Modifiers,Behavior type,Time\n"
    "o,a.mp4,s,walk,,START,1.5\n"
    "o,a.mp4,s,walk,,STOP,2.5\n",
    "grid.yaml": "head: [gru, mean]\nunits: [32, 64]\n"
    "dropout: [0.5]\nlearning_rate: {low: 0.0001, high: 0.003, log: true}\n",
    "system.yaml": "commands:\n  model: train $out/features --out $out/model\nneeds: [videos]\n",
}


def make_samples(folder: Path, only: str | None = None) -> None:
    """Write all of them below ``folder``: videos, tables, a store, a checkpoint; or what one kind needs."""
    for name, kind in VIDEOS.items():
        write_video(folder / "videos" / name, kind, frames=24, size=(64, 48))
    (folder / "tables").mkdir()
    for name, text in TABLES.items():
        (folder / "tables" / name).write_text(text)
    write_store(folder / "store", per_class=4)
    if only in (None, "checkpoint"):
        _checkpoint(folder / "store", folder / "checkpoint")


def _checkpoint(store: Path, folder: Path) -> None:
    from pipeline.training.data.dataset import open_dataset
    from pipeline.training.experiments.experiment import train
    from pipeline.training.experiments.save import save_run
    from pipeline.training.heads.registry import head_spec
    from pipeline.training.loop.spec import TrainSpec

    save_run(train(open_dataset(store), head=head_spec(units=4), spec=TrainSpec(epochs=1)), folder)


def copy_of(sample: Path, place: Path) -> Path:
    """A fresh copy of a sample folder to damage."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(sample, place))

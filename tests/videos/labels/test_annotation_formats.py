"""Exports of annotation tools, as those tools write them."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.videos.labels.annotation_formats import read_annotations

WANTED = [(1.0, 2.5, "wave"), (3.0, 4.25, "jump up")]

SRT = "1\r\n00:00:01,000 --> 00:00:02,500\r\nwave\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,250\r\n<i>jump</i>\r\nup\r\n"
VTT = """WEBVTT - from somewhere

NOTE a remark

intro
00:01.000 --> 00:02.500 align:start position:10%
wave

00:00:03.000 --> 00:00:04.250
<v Anna>jump up
"""
ELAN_PLAIN = (
    "hands\t\t00:00:01.000\t1.0\t00:00:02.500\t2.5\t00:00:01.500\t1.5\twave\n"
    "hands\tAnna\t00:00:03.000\t3.0\t00:00:04.250\t4.25\t00:00:01.250\t1.25\tjump up\n"
)
ELAN_HEADER = (
    '"#file:///home/anna/Match.eaf\n'
    "Begin Time - hh:mm:ss.ms\tEnd Time - hh:mm:ss.ms\tDuration - hh:mm:ss.ms\thands\tfeet\n"
    "00:00:01.000\t00:00:02.500\t00:00:01.500\twave\t\n"
    "00:00:03.000\t00:00:04.250\t00:00:01.250\t\tjump up\n"
)
ELAN_MS = "hands\t1000\t2500\twave\nhands\t3000\t4250\tjump up\n"
ELAN_SECONDS = "hands\t1.0\t2.5\t1.5\twave\nhands\t3.0\t4.25\t1.25\tjump up\n"
VIA = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# Notes:
# SHAPE_ID = {"POINT":1,"RECTANGLE":2}
# ATTRIBUTE = {"1":{"aname":"act","type":3,"options":{"0":"wave","1":"jump up"}},"2":{"aname":"who","options":{}}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"1_a","[""Match.mp4""]",0,"[1,2.5]","[]","{""1"":""0""}"
"1_b","[""Match.mp4""]",0,"[2.1]","[2,10,20,50,80]","{""1"":""0""}"
"1_c","[""Match.mp4""]",0,"[3.0,4.25]","[]","{""1"":""1""}"
"1_d","[""Match.mp4""]",0,"[3.5,4.25]","[]","{""2"":""Anna""}"
"""
BORIS_AGGREGATED = """Observation id,Observation date,Media file,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s)
m,2026-01-01,C:\\films\\Match.mp4,25,Anna,wave,STATE,1.000,2.500
m,2026-01-01,C:\\films\\Match.mp4,25,Anna,cough,POINT,2.000,2.000
m,2026-01-01,C:\\films\\Match.mp4,25,Anna,jump up,STATE,3.000,4.250
"""
BORIS_EVENTS = """Observation id;Media file name;Subject;Behavior;Behavior type;Time
m;films/Match.mp4;Anna;wave;START;1.000
m;films/Match.mp4;Anna;cough;POINT;2.000
m;films/Match.mp4;Anna;wave;STOP;2.500
m;films/Match.mp4;Anna;jump up;START;3.000
m;films/Match.mp4;Anna;jump up;STOP;4.250
"""
OURS = "video,start,end,label\nMatch.mp4,1,2.5,wave\nMatch.mp4,0:03,0:04.25,jump up\n"


@pytest.mark.parametrize(
    ("name", "text", "tier", "left_out"),
    [("Match.srt", SRT, "", 0), ("Match.vtt", VTT, "", 0), ("Match.txt", ELAN_PLAIN, "", 0)]
    + [("Match.txt", ELAN_HEADER, "", 0), ("Match.tsv", ELAN_MS, "", 0), ("Match.txt", ELAN_SECONDS, "hands", 0)]
    + [("list.csv", VIA, "act", 1), ("list.csv", BORIS_AGGREGATED, "", 1), ("list.tsv", BORIS_EVENTS, "", 1)]
    + [("list.csv", OURS, "", 0)],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_reads_every_kind(tmp_path, name, text, tier, left_out, encoding):
    (tmp_path / "Match.mp4").touch()
    (tmp_path / name).write_bytes(text.encode(encoding))
    annotations = read_annotations(tmp_path / name, tier=tier)
    assert [(segment.start, segment.end, segment.label) for segment in annotations.segments] == WANTED
    assert {segment.video for segment in annotations.segments} == {tmp_path / "Match.mp4"}
    assert annotations.left_out == left_out
    assert all(f"{name}, line " in segment.where for segment in annotations.segments)


def test_a_tier_is_chosen(tmp_path):
    (tmp_path / "Match.mp4").touch()
    (tmp_path / "Match.txt").write_text(ELAN_HEADER)
    assert [s.label for s in read_annotations(tmp_path / "Match.txt", tier="feet").segments] == ["jump up"]
    (tmp_path / "list.csv").write_text(VIA)
    assert [s.label for s in read_annotations(tmp_path / "list.csv", tier="who").segments] == ["Anna"]
    for name in ("Match.txt", "list.csv"):
        with pytest.raises(UserError, match="'face'"):
            read_annotations(tmp_path / name, tier="face")


def test_the_video_is_given_or_found(tmp_path):
    (tmp_path / "Match.srt").write_text(SRT)
    with pytest.raises(UserError, match="no videos of that name lie beside it"):
        read_annotations(tmp_path / "Match.srt")
    assert read_annotations(tmp_path / "Match.srt", video=tmp_path / "x.mkv").segments[0].video == tmp_path / "x.mkv"
    (tmp_path / "Match.mp4").touch()
    (tmp_path / "Match.avi").touch()
    with pytest.raises(UserError, match="2 videos of that name lie beside it"):
        read_annotations(tmp_path / "Match.srt")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.srt", SRT.replace("00:00:02,500", "00:00:00,500"), "line 2: the end 0.5 is not after the start 1"),
        ("a.srt", SRT.replace("00:00:02,500", "soon"), "line 2: 'soon' is not a time"),
        ("a.srt", SRT.replace("wave", ""), "line 2: there is no label"),
        ("a.srt", "nothing here", "holds no cues"),
        ("a.txt", ELAN_PLAIN + "hands\t\t00:00:05.000\n", "line 3|no two columns of times"),
        ("a.txt", "hello\tworld\n", "no two columns of times"),
        ("a.csv", VIA.replace("[1,2.5]", "[1,2.5"), "line 6: '[1,2.5' is not JSON"),
        ("a.csv", VIA.replace("[1,2.5]", "[2.5,1]"), "line 6: the end 1 is not after"),
        ("a.csv", BORIS_AGGREGATED.replace("2.500", "x"), "line 2: 'x' is not a time"),
        ("a.csv", BORIS_EVENTS.replace("wave;STOP", "walk;STOP"), "line 4: walk stops without having started"),
        (
            "a.csv",
            BORIS_EVENTS.replace("m;films/Match.mp4;Anna;wave;STOP;2.500\n", ""),
            "line 2: wave starts and never",
        ),
        ("a.docx", "x", "is of an unknown kind"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        read_annotations(tmp_path / name, video=tmp_path / "v.mp4")
    assert any(part in str(caught.value) for part in message.split("|"))
    assert str(tmp_path / name) in str(caught.value)


def test_how_sure_a_model_was_is_not_part_of_a_label(tmp_path):
    (tmp_path / "Match.mp4").touch()
    path = tmp_path / "Match.srt"
    path.write_text(SRT.replace("\r\nup\r\n", "\r\nup 87%\r\n"))
    assert [segment.label for segment in read_annotations(path).segments] == ["wave", "jump up"]

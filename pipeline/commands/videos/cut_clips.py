"""Cut recordings into clips with ffmpeg, exact to the frame.

Equal pieces of one or more videos, or of a folder of them:
    cut_clips.py Match.mp4 --every 3 --out data/train/Football
    cut_clips.py recordings --every 3 --out data      (keeps the folders recordings/[split]/<Class>)
Segments from a CSV file with the columns video,start,end,label and optionally split,group, or from an export of
ELAN (tab-delimited text), VIA 3 (CSV), BORIS (CSV) or subtitles (.srt, .vtt):
    cut_clips.py --segments segments.csv --out data   (makes data/[split]/<label>/...)
    cut_clips.py Match.mp4 --segments Match.srt --out data
Times are seconds, MM:SS or HH:MM:SS.mmm. Where each clip comes from is in clips.csv beside it.
A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.cli import command
from pipeline.cli.fields import add_options, from_args, options_of
from pipeline.cli.parser import Parser
from pipeline.commands.worker_options import add_limits, check_workers
from pipeline.errors import UserError, VideoError
from pipeline.files.replacing import refuse_inside
from pipeline.files.text import plural
from pipeline.parallel.workers import TIMEOUT
from pipeline.videos.catalog.catalog import open_catalog
from pipeline.videos.catalog.failures import FAILURES_FILE, FailureLog
from pipeline.videos.clips.cut import Encoding, claim, cut_clips, left_to_cut
from pipeline.videos.clips.plan import Clip, Recording, equal_pieces, open_recordings, plan_clips
from pipeline.videos.clips.stream_copy import SETTINGS, KeyframeOffset, copy_clips, snap
from pipeline.videos.labels.annotation_formats import read_annotations
from pipeline.videos.labels.segments import Segment
from pipeline.videos.media.ffmpeg import find_ffmpeg

Failed = Callable[[Path, VideoError], None]


def parser() -> Parser:
    """The options of the command."""
    made = Parser(__doc__, "python scripts/cut_clips.py Match.mp4 --every 3 --out data/train/Football")
    made.add_argument("videos", nargs="*", type=Path, metavar="VIDEO", help="videos, or folders of videos")
    made.add_argument("--out", type=Path, required=True, help="the folder for the clips")
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--every", type=float, metavar="SECONDS", help="cut into equal pieces of this length")
    what.add_argument("--segments", type=Path, metavar="FILE", help="cut the segments that a file lists")
    made.add_argument("--overlap", type=float, default=0.0, metavar="SECONDS", help="what neighbouring pieces share")
    made.add_argument("--drop-last", action="store_true", help="leave out a last piece that is shorter than --every")
    made.add_argument("--clamp", action="store_true", help="shorten segments that reach past the end of their video")
    made.add_argument("--tier", default="", help="take this tier (ELAN) or attribute (VIA) only")
    made.add_argument(
        "--copy",
        action="store_true",
        help="copy instead of encoding: clips start at keyframes, and how far off is said",
    )
    add_options(made, Encoding)
    made.add_argument("--workers", type=int, default=2, help="ffmpeg processes at a time")
    given_up = "seconds without a sign of life until a video is given up"
    made.add_argument("--timeout", type=float, default=TIMEOUT, help=given_up)
    add_limits(made)
    made.add_argument("--overwrite", action="store_true", help="replace files that are other clips of the same name")
    return made


@command.if_stopped(command.GOES_ON)
def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    say = command.say(args.quiet)
    encoding = from_args(Encoding, args)
    _check(args, encoding)
    failures = FailureLog(args.out / FAILURES_FILE)

    def failed(video: Path, error: VideoError) -> None:
        """Note a recording or, by the name that holds its times, a clip."""
        failures.add(str(video), error)
        print(f"failed: {video}: {error}", file=sys.stderr)

    wanted = _segments(args, say) if args.segments else _pieces(args)
    failures.clear()  # those of an earlier run
    clips = _planned(args, wanted, failed)
    misses: list[KeyframeOffset] = []
    if args.copy:
        clips, misses = _snapped(clips, failed)
    settings = SETTINGS if args.copy else str(encoding)
    todo = left_to_cut(clips, settings, overwrite=args.overwrite)
    claim(todo, settings)
    made = _cut(args, encoding, todo, failed)
    if misses:
        early, late = [miss.early for miss in misses], [miss.late for miss in misses]
        say(
            f"copied at keyframes: clips start {sum(early) / len(early):.2f} s early (at most {max(early):.2f} s) "
            f"and end {sum(late) / len(late):.2f} s late (at most {max(late):.2f} s)"
        )
    there, frames = len(clips) - len(todo), sum(clip.frames for clip in made)
    say(
        f"{args.out}: {plural(len(made), 'clip')} cut ({plural(frames, 'frame')})"
        + (f", {there:,} there already" if there else "")
        + (f", {len(failures):,} failed (see {failures.path})" if failures else "")
    )
    return command.SOME_FAILED if failures else command.OK


def _check(args: argparse.Namespace, encoding: Encoding) -> None:
    """Refuse options that have no meaning together.

    Raises:
        UserError: it says which.
    """
    if args.every is not None and not args.videos:
        raise UserError(
            "--every cuts videos, and none was given; expected: cut_clips.py Match.mp4 --every 3 --out clips"
        )
    if args.segments and len(args.videos) > 1:
        raise UserError(f"--segments goes with one video or with none, not with {len(args.videos)}")
    if args.segments and (args.overlap or args.drop_last):
        raise UserError("--overlap and --drop-last are for equal pieces, not for --segments; leave them out")
    if not args.segments and (args.clamp or args.tier):
        raise UserError("--clamp and --tier are for --segments, not for equal pieces; leave them out")
    if args.copy and encoding != Encoding():
        options = ", ".join(option.flag for option in options_of(Encoding).values())
        raise UserError(f"--copy copies what is there; {options} are for encoding, so leave --copy out")
    check_workers(args)
    if not args.copy:
        find_ffmpeg()


def _segments(args: argparse.Namespace, say: command.Say) -> list[Segment]:
    """Those that a file lists."""
    annotations = read_annotations(args.segments, video=next(iter(args.videos), None), tier=args.tier)
    if annotations.left_out:
        say(f"{args.segments}: left out {plural(annotations.left_out, 'event')} without a duration")
    return annotations.segments


def _pieces(args: argparse.Namespace) -> list[Segment]:
    """One segment for each video, without times: how long it is will be seen when it is opened."""
    found: list[Segment] = []
    for source in args.videos:
        if source.is_dir():
            refuse_inside(args.out, source)
            catalog = open_catalog(source)
            found += [Segment(v.path, 0, 0, v.label, v.split, v.group) for v in catalog]
        else:
            found.append(Segment(source, 0, 0))
    return found


def _planned(args: argparse.Namespace, wanted: Sequence[Segment], failed: Failed) -> list[Clip]:
    """The clips of all segments, once the recordings are opened."""
    clips: list[Clip] = []
    taken: set[Path] = set()
    by_video: dict[Path, list[Segment]] = {}
    for segment in wanted:
        by_video.setdefault(segment.video, []).append(segment)
    with command.progress(len(by_video), "video", args.quiet, desc="reading") as bar:
        for video, recording in open_recordings(list(by_video), workers=args.workers, timeout=args.timeout):
            bar.update()
            if isinstance(recording, VideoError):
                failed(video, recording)
                continue
            segments = by_video[video]
            try:
                if args.every is not None:
                    segments = _cut_up(segments[0], recording, args)
                clips += plan_clips(recording, segments, args.out, clamp=args.clamp, taken=taken)
            except VideoError as error:
                failed(video, error)
    return clips


def _snapped(clips: Sequence[Clip], failed: Failed) -> tuple[list[Clip], list[KeyframeOffset]]:
    """The clips as they lie between keyframes, and how far off each one is."""
    moved, misses = [], []
    for clip in clips:
        try:
            there, miss = snap(clip)
        except VideoError as error:
            failed(clip.path, error)
            continue
        moved.append(there)
        misses.append(miss)
    return moved, misses


def _cut(args: argparse.Namespace, encoding: Encoding, todo: Sequence[Clip], failed: Failed) -> list[Clip]:
    """Cut them; those that could be."""
    made = []
    with command.progress(len(todo), "clip", args.quiet) as bar:
        cuts = copy_clips(todo, args.out) if args.copy else cut_clips(todo, args.out, encoding, workers=args.workers)
        for cut in cuts:
            bar.update()
            if cut.error is None:
                made.append(cut.clip)
            else:
                failed(cut.clip.path, cut.error)
    return made


def _cut_up(whole: Segment, recording: Recording, args: argparse.Namespace) -> list[Segment]:
    """A recording as equal pieces."""
    pieces = equal_pieces(recording.duration, args.every, overlap=args.overlap, keep_last=not args.drop_last)
    return [
        Segment(whole.video, start, end, whole.label, whole.split, whole.group)
        for start, end in pieces
        # The last piece may lie within the showing of a frame that belongs to the one before.
        if recording.frame_at(start) < recording.frame_at(end)
    ]

"""What every newcomer asks, answered on two sets of real clips: one command, one table, one plot.

  cached or end to end   the same frozen network cached and computed anew in each epoch; its last layers learnt;
                         networks learnt from scratch
  heads                  on the same cached features
  frames per video       1 to 20, spread evenly
  backbones              InceptionV3 with the weights given against seeded random ones, and other networks
  colours or motion      the same network on frames, on optical flow as an image, and both side by side

Test accuracy over folds by group (a person stays in one fold) and seeds, with the standard deviation over all of them
and the lowest; seconds of stage one, and of one training; seconds of an epoch; the peak memory of a process that
does the trainings of one row. Each row is a process of its own and is stored when it is done: the same command goes on
where it was stopped. Rows of "cached or end to end" share their folds. There, networks that are computed anew get few
epochs, as nobody would wait for more here; the table says how many.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.study.questions import grid
from benchmarks.study.results import COLUMNS, as_text, draw, write_markdown
from benchmarks.study.trainings import extract, measure
from pipeline.cli import command
from pipeline.cli.parser import Parser
from pipeline.files.tables import write_table


def main(argv: Sequence[str] | None = None) -> int:
    example = "python -m benchmarks.study --videos ../shared/videos --weights W"
    parser = Parser(__doc__, f"{example} --out study\n  {example} --out study-quick --quick")
    parser.add_argument("--out", type=Path, required=True, help="folder of stores, rows, study.csv, .md and .png")
    parser.add_argument("--videos", type=Path, default=Path("../shared/videos"), help="with actions/ and fights/")
    parser.add_argument("--weights", default="imagenet", help="of InceptionV3: imagenet, a file, or random")
    parser.add_argument("--quick", action="store_true", help="a few rows, small: to see that it runs")
    args = parser.parse_args(argv)
    rows = []
    for row in grid(args.quick):
        seconds = sum(extract(store, args.out, args.videos, args.weights)["seconds"] for store in row.stores)
        told = {"question": row.question, "data": row.store.data, "setting": row.setting, "extraction_s": seconds}
        rows.append(told | measure(row, args.out, args.weights))
        print(", ".join(f"{name} {text}" for name, text in as_text(rows[-1]).items()), flush=True)
    write_table([as_text(row) for row in rows], COLUMNS, args.out / "study.csv")
    write_markdown(rows, args.out / "study.md")
    draw(rows, args.out / "study.png")
    print(f"{args.out / 'study.md'}: {len(rows)} rows; also study.csv and study.png")
    return command.OK


if __name__ == "__main__":
    sys.exit(command.run(main))

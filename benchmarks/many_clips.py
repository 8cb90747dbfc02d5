"""Many small clips: does check_videos.py stay flat in memory, and is the page of explore.py small and quick to open?

    python benchmarks/many_clips.py --clips 10000 --page 5000

Draws a hundred small clips and links to them under many names. Expected: memory at the end within a fifth of that
after a quarter of the clips; the page under 30 MB, and open in Chromium in under 3 s.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.videos.synthetic import draw_recordings

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--page", type=int, default=5_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = draw_recordings(folder / "drawn", recordings=20, seconds=(0.5, 1.0))
        _link(drawn, folder / "many", args.clips)
        _check(folder / "many", args.clips)
        _link(drawn, folder / "some", args.page)
        _explore(folder / "some", folder / "explore.html")


def _link(drawn: list[Path], folder: Path, count: int) -> None:
    for number in range(count):
        source = drawn[number % len(drawn)]
        target = folder / source.parent.name / f"{number:06d}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(source)


def _check(folder: Path, count: int) -> None:
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "check_videos.py"), str(folder), "--quiet"], stdout=subprocess.DEVNULL
    )
    memory = []
    while process.poll() is None:
        memory.append(_memory(process.pid))
        time.sleep(0.5)
    seconds = time.perf_counter() - start
    quarter, peak = memory[len(memory) // 4], max(memory)
    decoding = max(memory[: len(memory) * 9 // 10])
    print(
        f"check_videos.py: {count:,} clips in {seconds:.0f} s ({count / seconds:.0f} a second); memory of all "
        f"processes {quarter / 1e6:.0f} MB after a quarter, {decoding / 1e6:.0f} MB at most "
        f"while decoding, {peak / 1e6:.0f} MB at most while comparing"
    )


def _memory(pid: int) -> int:
    """Resident bytes of a process and those that it started (Linux)."""
    total, waiting = 0, [pid]
    while waiting:
        here = waiting.pop()
        try:
            total += int(Path(f"/proc/{here}/statm").read_text().split()[1]) * 4096
            waiting += [int(n) for n in Path(f"/proc/{here}/task/{here}/children").read_text().split()]
        except (OSError, IndexError):
            continue  # It has ended meanwhile.
    return total


def _explore(folder: Path, page: Path) -> None:
    start = time.perf_counter()
    script = str(ROOT / "scripts" / "explore.py")
    subprocess.run([sys.executable, script, str(folder), "--out", str(page), "--quiet"], check=True)
    print(f"explore.py: {len(list(folder.rglob('*.*'))):,} videos in {time.perf_counter() - start:.0f} s, "
          f"{page.stat().st_size / 1e6:.1f} MB")  # fmt: skip
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium to open it with")
        return
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    flags += ["--no-first-run", f"--user-data-dir={page.parent / 'browser'}", "--dump-dom"]
    done = subprocess.run([browser, *flags, page.as_uri()], capture_output=True, text=True, check=True)
    ready = re.search(r'data-ready="(\d+)"', done.stdout)
    if ready is None:
        raise SystemExit("the page did not come to its end")
    print(f"Chromium: {int(ready[1]) / 1000:.2f} s from asking for the page to its being drawn")


if __name__ == "__main__":
    main()

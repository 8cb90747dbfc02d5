"""The command: page, sheets, problems."""

from __future__ import annotations

from pipeline.cli import command
from pipeline.commands.videos import explore
from tests.media import write_video


def run(*arguments) -> int:
    return command.run(explore.main, [str(argument) for argument in arguments], parser=explore.parser)


def test_page_sheets_and_problems(tmp_path, capsys):
    for name in ("train/a/1", "train/b/2", "test/a/3"):
        write_video(tmp_path / "d" / f"{name}.mp4", frames=20, first=len(name) * ord(name[-1]))
    page = tmp_path / "explore.html"
    assert run(tmp_path / "d", "--out", page, "--sheets", tmp_path / "sheets", "--check") == 0
    out = capsys.readouterr().out
    assert f"{page}: 3 videos, 1 problem," in out
    assert f"3 contact sheets in {tmp_path / 'sheets'}" in out
    assert "test has no videos of b" in page.read_text()
    assert run(tmp_path / "d", "--out", page) == 2
    assert "give --overwrite" in capsys.readouterr().err
    (tmp_path / "d" / "problems.csv").write_text("problem,video,detail\nfrozen,train/a/1.mp4,nothing moves here\n")
    (tmp_path / "d" / "train" / "a" / "bad.mp4").write_text("x")
    assert run(tmp_path / "d", "--out", page, "--overwrite") == 1
    captured = capsys.readouterr()
    assert "1 video cannot be read" in captured.out
    assert "failed: train/a/bad.mp4: open: not a readable media file" in captured.err
    assert "nothing moves here" in page.read_text()
    assert run(tmp_path / "none", "--out", page, "--overwrite") == 2

"""The command: shares, official lists, links, refusals."""

from __future__ import annotations

from pipeline.cli import command
from pipeline.commands.videos import split_dataset
from pipeline.videos.catalog.catalog import open_catalog


def run(*arguments) -> int:
    return command.run(split_dataset.main, [str(argument) for argument in arguments], parser=split_dataset.parser)


def lay(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_by_shares(tmp_path, capsys):
    lay(
        tmp_path / "d", *(f"{label}/{label}_person{p}_{i}.mp4" for label in "xy" for p in range(1, 9) for i in range(2))
    )
    out = ("--out", tmp_path / "d" / "data_file.csv")
    assert run(tmp_path / "d", "--shares", 0.5, 0.25, 0.25, "--group", "person[0-9]", *out) == 0
    assert "32 videos in 8 groups: train 16, val 8, test 8" in capsys.readouterr().out
    catalog = open_catalog(tmp_path / "d" / "data_file.csv")
    by_person: dict[str, set] = {}
    for video in catalog:
        by_person.setdefault(video.group, set()).add(video.split)
    assert len(by_person) == 8
    assert all(len(splits) == 1 for splits in by_person.values())
    assert run(tmp_path / "d", *out) == 2
    assert "give --overwrite" in capsys.readouterr().err
    assert run(tmp_path / "d", "--overwrite", "--quiet", *out) == 0


def test_by_lists_with_links(tmp_path, capsys):
    lay(tmp_path / "UCF", *(f"Archery/v_Archery_g{g:02d}_c{c:02d}.avi" for g in range(1, 7) for c in (1, 2)))
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text(
        "".join(f"Archery/v_Archery_g{g:02d}_c{c:02d}.avi 1\n" for g in range(2, 6) for c in (1, 2))
    )
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c09.avi\n")
    call = ["--list", lists / "trainlist01.txt", lists / "testlist01.txt", "--val", 0.25, "--link", tmp_path / "new"]
    assert run(tmp_path / "UCF", *call) == 0
    out = capsys.readouterr().out
    assert "listed and not there: 1 video, such as Archery/v_Archery_g01_c09" in out
    assert "not listed and left out: 3 videos, such as Archery/v_Archery_g01_c02.avi" in out
    assert "9 videos in 5 groups: train 6, val 2, test 1" in out
    catalog = open_catalog(tmp_path / "new" / "data_file.csv")
    assert {video.path.parent.parent.name for video in catalog} == {"train", "val", "test"}
    assert all(video.path.is_symlink() and video.path.exists() for video in catalog)
    assert len({video.group for video in catalog if video.split == "val"}) == 1


def test_wrong_calls(tmp_path, capsys):
    lay(tmp_path / "d", "x/1.mp4", "y/2.mp4")
    (tmp_path / "trainlist01.txt").write_text("Other/v.avi 1\n")
    for message, call in {
        "none of the listed videos": (tmp_path / "d", "--list", tmp_path / "trainlist01.txt"),
        "--val goes with --list": (tmp_path / "d", "--val", 0.2),
        "cannot be": (tmp_path / "d", "--shares", 0, 1, 0),
        "--group 'person' matches no video": (tmp_path / "d", "--group", "person"),
        "does not exist": (tmp_path / "none",),
    }.items():
        assert run(*call) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "d" / "data_file.csv").exists()

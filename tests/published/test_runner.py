"""Commands are run once, in order, and again where something they depend on has changed."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import UserError
from pipeline.published.runner import RECORD, Runner, Stopped, content_digest, held_out_video, run_command
from tests.media import write_video


@pytest.fixture
def data(tmp_path):
    for label in ("a", "b"):
        write_video(tmp_path / "data" / label / f"{label}.mp4", frames=8)
    return tmp_path / "data"


def run(data, out, said, *, limit=2):
    runner = Runner(out, "mine", said.append)
    runner.run(
        "table", "list", [str(data), "--out", str(out / "table.csv"), "--overwrite", "--class-limit", str(limit)]
    )
    runner.run("split", "split", [str(out / "table.csv"), "--out", str(out / "split.csv"), "--overwrite"])
    return runner


@pytest.mark.slow
def test_what_is_done_is_passed_over_until_something_changes(data, tmp_path):
    out, said = tmp_path / "out", []
    assert (runner := run(data, out, said)).ran == 2
    assert said[0] == f"\n$ video-pipeline list {data} --out {out}/table.csv --overwrite --class-limit 2"
    assert (runner := run(data, out, said)).passed == 2
    # Another setting changes the table, and so what the split reads.
    assert (runner := run(data, out, said, limit=1)).ran == 2
    assert "b.mp4" not in (out / "table.csv").read_text()
    # A result that is gone is made again; what it reads is unchanged, so the first command is not.
    (out / "split.csv").unlink()
    runner = run(data, out, said, limit=1)
    assert (runner.ran, runner.passed) == (1, 1)
    assert (out / "split.csv").exists()
    write_video(data / "a" / "new.mp4", frames=8)
    assert run(data, out, said, limit=1).ran == 2


def test_a_folder_that_is_called_as_the_package_is_not_run(data, tmp_path, monkeypatch):
    (tmp_path / "pipeline").mkdir()
    for name in ("__init__", "__main__"):
        (tmp_path / "pipeline" / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert run_command("list", [data, "--out", tmp_path / "table.csv", "--quiet"], lambda line: None) == 0


def test_a_command_that_fails_stops_and_is_not_recorded(data, tmp_path, capfd):
    out = tmp_path / "out"
    runner = Runner(out, "mine", lambda line: None)
    with pytest.raises(Stopped) as caught:
        runner.run("table", "list", [str(tmp_path / "nowhere"), "--out", str(out / "table.csv")])
    assert caught.value.status == 2
    assert "nowhere does not exist" in capfd.readouterr().err
    assert not (out / RECORD).exists()


def test_the_folder_of_another_system_is_refused(data, tmp_path):
    run(data, tmp_path / "out", [])
    assert json.loads((tmp_path / "out" / RECORD).read_text())["system"] == "mine"
    with pytest.raises(UserError, match="holds the outputs of mine; choose another `out`"):
        Runner(tmp_path / "out", "other")


def test_what_a_command_writes_into_the_folder_that_it_reads_is_not_read(data, tmp_path):
    words = [str(data), "--out", str(data / "data_file.csv"), "--overwrite"]
    for passed in (0, 1, 1):
        runner = Runner(tmp_path / "out", "mine", lambda line: None)
        runner.run("table", "list", words)
        assert runner.passed == passed
    write_video(data / "a" / "more.mp4", frames=8)
    runner = Runner(tmp_path / "out", "mine", lambda line: None)
    runner.run("table", "list", words)
    assert runner.ran == 1


def test_a_random_test_video_is_the_same_for_one_seed(data, tmp_path):
    videos = [tmp_path / f"v{number}.mp4" for number in range(20)]
    (tmp_path / "store").mkdir()
    lines = ["path,label,split", *(f"{video},a,test" for video in videos)]
    (tmp_path / "store" / "catalog.csv").write_text("\n".join(lines) + "\n")
    results = {"store": str(tmp_path / "store"), "split": {"test": [str(video) for video in videos]}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert held_out_video(tmp_path) == videos[0]
    chosen = {held_out_video(tmp_path, seed) for seed in range(8)}
    assert 1 < len(chosen) <= 8
    assert chosen <= set(videos)
    assert held_out_video(tmp_path, 3) == held_out_video(tmp_path, 3)


def test_a_digest_sees_names_and_the_content_of_tables(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    first = content_digest(tmp_path)
    (tmp_path / "a.csv").write_text("2")
    second = content_digest(tmp_path)
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    third = content_digest(tmp_path)
    (tmp_path / "b.csv").write_text("2")
    assert content_digest(tmp_path) == third  # the same content, written again
    (tmp_path / "c.h5").write_text("22")
    assert len({first, second, third, content_digest(tmp_path)}) == 4

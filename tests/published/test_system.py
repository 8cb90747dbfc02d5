"""A system's YAML file becomes command lines, and each mistake in it one line."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.published.system import CONFIGS, find_system, parse_changes, read_system

PLACES = {"data": "videos", "out": "made", "weights": "random", "video": "v.mp4", "configs": "configs"}
PUBLISHED = ["apriorit", "ecology-grid", "frame-generators", "rolling-average", "keras-example"]


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_settings_become_the_words_of_a_command_line(tmp_path):
    text = """
steps:
  a: {command: cut_clips, video: [$data/x.mp4, $data/y.mp4], every: 1.5, drop_last: true, fast: false, out: $out/a}
  b: {command: split_dataset, data: $out/a, shares: [0.5, 0.25, 0.25]}
  c: {command: classify, checkpoint: $out/c, video: $video, cut: [up, down]}
"""
    words = [step.words(PLACES) for step in read_system(write(tmp_path, text)).steps]
    assert words[0] == ["videos/x.mp4", "videos/y.mp4", "--out", "made/a", "--every", "1.5", "--drop-last"]
    assert words[1] == ["made/a", "--shares", "0.5", "0.25", "0.25"]
    assert words[2] == ["made/c", "v.mp4", "--cut", "up", "--cut", "down"]


def test_changes_take_the_place_of_settings_and_leave_the_rest(tmp_path):
    system = read_system(write(tmp_path, "steps:\n  a: {command: train, store: $data, epochs: 9, seed: 1}\n"))
    changed = system.changed(parse_changes(["a.epochs=2", "a.group=person\\d"]))
    assert changed.steps[0].words(PLACES) == ["videos", "--seed", "1", "--group", "person\\d", "--epochs", "2"]
    assert system.steps[0].settings["epochs"] == 9


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("steps:\n  a: {command: train, store: $data, epocs: 3}", "unknown key 'epocs'; .* 'epochs'"),
        ("steps:\n  a: {command: trian, store: $data}", "no command 'trian'; the nearest is 'train'"),
        ("step:\n  a: {command: train}", "describes no system"),
        ("steps:\n  a: {command: train, store: $data}\nquik: {}", "unknown key 'quik'; the nearest is 'quick'"),
        ("steps:\n  a: {command: train, store: $dat}", r"\$name that is none of \$data"),
        ("steps:\n  a: {command: train, store: $data, epochs: few}", "--epochs: invalid int value: 'few'"),
        ("steps:\n  a: {command: train, store: $data, balance: 3}", "expected true or false"),
        ("steps:\n  a: {command: train, epochs: 3}", "required: STORE"),
        ("steps: [", "is no YAML"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, text, line):
    def words():
        return [step.words(PLACES) for step in read_system(write(tmp_path, text)).steps]

    with pytest.raises(UserError, match=line) as caught:
        words()
    assert "\n" not in str(caught.value)


def test_changes_of_no_step_and_data_that_is_not_there_are_told(tmp_path):
    system = read_system(write(tmp_path, "needs: [train.csv]\nsteps:\n  model: {command: train, store: $data}\n"))
    with pytest.raises(UserError, match="no step 'modle'; the nearest is 'model'"):
        system.changed({"modle.epochs": 3})
    with pytest.raises(UserError, match=r"expected STEP\.SETTING=VALUE"):
        system.changed({"epochs": 3})
    with pytest.raises(UserError, match="does not exist"):
        system.check_data(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no train\.csv"):
        system.check_data(tmp_path)
    with pytest.raises(UserError, match="the nearest is keras-example"):
        find_system("keras-exmple")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_system_is_made_of_settings_that_exist(name):
    system = read_system(find_system(name))
    for version in (system, system.changed(system.quick)):
        for step in version.steps:
            assert step.words(PLACES)
    head = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").partition("\nsteps:")[0]
    for part in ("Source:", f"run_config.py configs/{name}.yaml", "Published:", "Here:"):
        assert part in head

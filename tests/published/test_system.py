"""A system's YAML file becomes command lines, and each mistake in it one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands import VERBS
from pipeline.commands.published.run_config import parser_of
from pipeline.errors import UserError
from pipeline.published.system import CONFIGS, find_config, find_system, parse_changes, read_system

PLACES = {"data": "my videos", "out": "made", "weights": "random", "video": "v.mp4", "configs": "configs"}
PUBLISHED = ["apriorit", "ecology-grid", "frame-generators", "rolling-average", "keras-example"]


def write(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path, text):
    return read_system(write(tmp_path, text), VERBS)


def test_a_line_is_a_command_line_with_places_put_in_word_by_word(tmp_path):
    system = read(tmp_path, "commands:\n  a: cut $data/x.mp4 --every 1.5 --out '$out/a b'\n")
    (line,) = system.lines
    assert (line.name, line.verb) == ("a", "cut")
    assert line.filled(PLACES) == ["my videos/x.mp4", "--every", "1.5", "--out", "made/a b"]
    assert line.parse(PLACES, parser_of).every == 1.5


def test_words_that_are_added_count_more_than_those_that_are_there(tmp_path):
    system = read(tmp_path, "commands:\n  a: train $data --out $out --epochs 9 --seed 1\n")
    changed = system.changed(parse_changes(["a=--epochs 2", r"a=--group 'person\d'"]))
    options = changed.lines[0].parse(PLACES, parser_of)
    assert (options.epochs, options.seed, options.group) == (2, 1, r"person\d")
    assert system.lines[0].parse(PLACES, parser_of).epochs == 9


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("commands:\n  a: train $data --epocs 3", r"a \(train\): there is no option --epocs; did you mean --epochs\?"),
        ("commands:\n  a: trian $data", "a: there is no command 'trian'; the nearest is 'train'"),
        ("command:\n  a: train", "unknown key 'command'; the nearest is 'commands'"),
        ("quick:\n  a: train", "describes no system"),
        ("just text", "describes no system"),
        ("commands:\n  a: {train: 3}", "expected a name and a command line each"),
        ("commands:\n  a:", "expected a name and a command line each"),
        ("commands:\n  a: ''", "there is no command ''"),
        ("commands:\n  a: train '$data", "is not a command line"),
        ("commands:\n  a: train $data\nquik: {}", "unknown key 'quik'; the nearest is 'quick'"),
        ("commands:\n  a: train $dat", r"\$name that is none of \$data"),
        ("commands:\n  a: train $data --epochs few", "--epochs: .*'few'"),
        ("commands:\n  a: train --epochs 3", "required: STORE"),
        ("commands: [", "is not YAML"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, text, line):
    def parse():
        return [each.parse(PLACES, parser_of) for each in read(tmp_path, text).lines]

    with pytest.raises(UserError, match=line) as caught:
        parse()
    assert "\n" not in str(caught.value)


def test_changes_of_no_line_and_data_that_is_not_there_are_told(tmp_path):
    system = read(tmp_path, "needs: [train.csv]\ncommands:\n  model: train $data\n")
    with pytest.raises(UserError, match="no line 'modle'; the nearest is 'model'"):
        system.changed({"modle": "--epochs 3"})
    for text in ("model", "model=3", "model.epochs=3"):
        with pytest.raises(UserError, match=f"`set={text}`: expected NAME='--OPTION VALUE'"):
            parse_changes([text])
    with pytest.raises(UserError, match="does not exist"):
        system.check_data(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no train\.csv"):
        system.check_data(tmp_path)
    with pytest.raises(UserError, match="the nearest is keras-example"):
        find_system("keras-exmple")


def test_a_file_of_configs_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("grid", "configs/grid.yaml", Path("configs/grid.yaml")):
        assert find_config(name) == CONFIGS / "grid.yaml"
    assert find_config("ecology-grid/images") == CONFIGS / "ecology-grid" / "images.yaml"
    assert find_config("elsewhere/grid.yaml") == Path("elsewhere/grid.yaml")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "grid.yaml").write_text("head: [gru]\n")
    assert find_config("configs/grid.yaml") == Path("configs/grid.yaml")  # the user's own comes first


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_system_is_made_of_options_that_exist(name):
    system = read_system(find_system(name), VERBS)
    for version in (system, system.changed(system.quick)):
        for line in version.lines:
            line.parse(PLACES, parser_of)
    head = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").partition("\ncommands:")[0]
    for part in ("Source:", f"run_config.py configs/{name}.yaml", "Published:", "Here:"):
        assert part in head

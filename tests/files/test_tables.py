"""CSV files as people make them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.files.tables import read_numbered, read_table, write_table

ROWS = [{"path": "a.mp4", "label": "Über"}, {"path": "b, c.mp4", "label": "Ball"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_reads_what_spreadsheets_write(tmp_path, encoding, newline, delimiter):
    lines = [f"Path {delimiter}LABEL", f"a.mp4{delimiter}Über", f'"b, c.mp4"{delimiter} Ball ', ""]
    (tmp_path / "t.csv").write_bytes(newline.join(lines).encode(encoding))
    assert read_table(tmp_path / "t.csv") == ROWS


def test_numbers_lines_as_an_editor_does(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,2\n\n3,"x\ny"\n5,6\n')
    assert [line for line, _ in read_numbered(tmp_path / "t.csv")] == [2, 5, 6]


def test_short_and_long_rows(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1\n1,2,3\n")
    assert read_table(tmp_path / "t.csv") == [{"a": "1", "b": ""}, {"a": "1", "b": "2"}]


def test_what_pandas_would_guess_stays_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\nNA,001\nnan,1e5\n\xff,True\n,\n")
    assert read_table(tmp_path / "t.csv") == [
        {"a": "NA", "b": "001"},
        {"a": "nan", "b": "1e5"},
        {"a": "\udcff", "b": "True"},
    ]


def test_a_quote_that_is_not_closed_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,"2\n3,4\n')
    with pytest.raises(UserError, match="every quote closed"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("data", [b"", b"\0\1\2" * 50, b"\xff\xfea"])
def test_what_is_not_a_table_is_refused(tmp_path, data):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UserError, match=r"t\.csv is (empty|not CSV text)"):
        read_table(tmp_path / "t.csv")


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_table(tmp_path / "t.csv")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1))
@example(["0\r", "a\rb", "\r\n"])
def test_what_is_written_is_read_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    write_table([{"a": text, "b": "x"} for text in texts], ("a", "b"), path)
    # Blanks around a field are stripped.
    assert [row["a"] for row in read_table(path)] == [text.strip() for text in texts]


def test_a_failed_write_leaves_the_old_table(tmp_path):
    path = tmp_path / "t.csv"
    write_table([{"a": 1}], ("a",), path)
    with pytest.raises(ZeroDivisionError):
        write_table(({"a": 1 / number} for number in (1, 0)), ("a",), path)
    assert path.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]

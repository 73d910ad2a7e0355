"""Tab-separated tables: what is written is read, and every fault names file and line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.core.tables import as_tsv, read_tsv, write_tsv

# Line feeds and tabs become blanks; of what is left, any text comes back, line separators of Unicode included.
CELLS = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    table = [{"a": one, "b": other} for one, other in rows]
    write_tsv(path, ["a", "b"], table)
    assert read_tsv(path) == (["a", "b"], table)


def test_floats_keep_every_digit_and_missing_values_are_marked():
    text = as_tsv(["x"], [{"x": 0.1 + 0.2}, {"x": None}, {"x": math.nan}, {}, {"x": 3}, {"x": "a\tb\nc"}])
    assert text.split("\n")[1:-1] == ["0.30000000000000004", "n/a", "n/a", "n/a", "3", "a b c"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty table"),
        (b"\n \n", "empty table"),
        (b"a\tb\n1\n", "line 2 has 1 cells, the header has 2"),
        (b"a\tb\n\n1\t2\n\n1\t2\t3\n", "line 5 has 3 cells, the header has 2"),
        (b"a\ta\n1\t2\n", "column 'a' appears more than once"),
        (b"a\xe4\n", "not UTF-8 text"),
    ],
)
def test_faults_name_the_file_and_the_line(tmp_path, content, expected):
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_tsv(path)
    assert str(caught.value).startswith(str(path))


def test_quotes_are_characters_and_long_cells_are_no_error(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text('a\tb\n"x\t' + "y" * 200_000 + "\n")
    assert read_tsv(path)[1][0]["a"] == '"x'


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_tsv(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="is a folder"):
        read_tsv(tmp_path)

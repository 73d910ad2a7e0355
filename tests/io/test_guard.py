"""JSON objects and tables of words: read whole, or refused in one line."""

import pytest

from medtools.core.errors import InputError
from medtools.io.guard import read_object
from medtools.io.text import read_rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object, found list"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_text(content)

    with pytest.raises(InputError, match=message):
        read_object(path)


def test_cells_may_be_quoted_and_the_delimiter_is_the_headers(tmp_path):
    (tmp_path / "a.csv").write_text('id,note\n1,"two, or\nthree"\n\n2,\n')
    (tmp_path / "b.csv").write_text("id\tnote\n1\ta,b\n")

    assert read_rows(tmp_path / "a.csv") == [{"id": "1", "note": "two, or\nthree"}, {"id": "2", "note": ""}]
    assert read_rows(tmp_path / "b.csv") == [{"id": "1", "note": "a,b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1\n", "line 2 has 1 cells, the header has 2"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header has 2"),
        ("a,b\n1," + "x" * 200_000 + "\n", "field larger than field limit"),
        ('a,b\n1,"' + "x\n" * 100_000, "field larger than field limit"),
    ],
    ids=["short", "long", "huge", "open quote"],
)
def test_a_ragged_table_and_an_endless_cell_are_named_by_line(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_text(content)

    with pytest.raises(InputError, match=message):
        read_rows(path)


def test_sheets_kept_by_hand_may_lack_cells_at_the_end(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1\n2,3,,\n")

    assert read_rows(tmp_path / "x.csv", padded=True) == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]

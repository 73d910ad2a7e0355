"""`metrics.csv` keeps every digit, grows by lines, and draws as curves."""

from __future__ import annotations

import math

import pytest

from medtools.core.errors import InputError
from medtools.training.history import HistoryFile, as_csv, draw_curves, read_history, write_history

HISTORY = [
    {"epoch": 1, "step": 5, "lr": 0.1, "loss": 0.1 + 0.2},
    {"epoch": 2, "step": 10, "lr": 0.05, "loss": 1e-17, "val_loss": float("nan")},
]


def test_a_history_comes_back_as_it_was(tmp_path):
    write_history(tmp_path / "metrics.csv", HISTORY)

    found = read_history(tmp_path / "metrics.csv")

    assert found[0] == HISTORY[0]
    assert math.isnan(found[1].pop("val_loss"))
    assert found[1] == {key: value for key, value in HISTORY[1].items() if key != "val_loss"}


def test_the_growing_file_equals_the_file_written_at_once(tmp_path):
    path, rows = tmp_path / "metrics.csv", []
    path.write_text("left by a killed run")
    table = HistoryFile(path, rows)
    assert not path.exists()
    for row in [*HISTORY, {"epoch": 3, "step": 15, "lr": 0.05, "loss": 0.5}]:
        rows.append(row)
        table.append(rows)
        assert path.read_text() == as_csv(rows)


@pytest.mark.parametrize("text", ["epoch,loss\n1,low\n", "epoch,loss\n1,2,3\n", "epoch,loss\n1\n"])
def test_a_table_that_is_not_of_numbers_is_refused(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)

    with pytest.raises(InputError, match="not a table of numbers"):
        read_history(tmp_path / "metrics.csv")


def test_curves_share_a_panel_by_name_and_leave_out_a_constant_rate():
    rows = [{"epoch": i, "step": i, "lr": 0.1, "lr_critic": 1 / i, "loss": 1 / i, "val_loss": 2 / i} for i in (1, 2, 3)]

    figure = draw_curves(rows, kept_epoch=2)

    assert [axes.get_title(loc="left") for axes in figure.axes] == ["lr_critic", "loss"]
    assert [line.get_label() for line in figure.axes[1].lines] == ["training", "validation", "kept epoch"]
    assert figure.axes[1].lines[1].get_ydata().tolist() == [2, 1, pytest.approx(2 / 3)]


def test_validation_has_its_own_colour_and_name_in_every_panel():
    rows = [{"epoch": n, "lr": 0.1 / n, "loss": 1.0 / n, "val_loss": 1.0, "val_accuracy": 0.5} for n in (1, 2, 3)]

    figure = draw_curves(rows, kept_epoch=2)

    lines = {
        axes.get_title(loc="left"): {line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes
    }
    assert lines["accuracy"]["validation"] == lines["loss"]["validation"] != lines["loss"]["training"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"training", "validation", "kept epoch"}

"""Which files of a folder are ROI series, and what each is called."""

import os
from pathlib import Path

import pytest

from medtools.core.errors import InputError
from medtools.io.discovery import find_series


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return root


def found(paths, **options):
    return [(identifier, path.name) for identifier, path in find_series(paths, **options)]


def test_bids_series_are_found_in_subfolders_in_order_and_named_by_their_scan(tmp_path):
    make(
        tmp_path,
        "sub-02/func/sub-02_task-rest_run-1_space-MNI152_atlas-dosenbach160_timeseries.tsv",
        "sub-01/func/sub-01_ses-2_task-rest_atlas-dosenbach160_timeseries.tsv",
        "sub-01/func/sub-01_ses-2_task-rest_atlas-dosenbach160_timeseries.json",
        "sub-01/func/sub-01_ses-2_task-rest_desc-confounds_timeseries.tsv",
        "sub-01/func/notes.csv",
        "participants.tsv",
        "manifest.tsv",
    )

    assert [identifier for identifier, _ in find_series([tmp_path])] == [
        "sub-01_ses-2_task-rest",
        "sub-02_task-rest_run-1",
    ]


def test_without_bids_names_every_known_suffix_counts_and_tables_and_outputs_do_not(tmp_path):
    make(
        tmp_path, "b.csv", "a.tsv", "c/d.npz", "c/e.npy", "c/f.mat", "read.me", ".hidden.csv", ".git/x.csv",
        "participants.tsv", "failures.tsv", "sub-01_motion.tsv", "run_confounds.csv", "metrics.csv", "diagrams/a.npz",
        "PR/a/DMN_H0.tsv", "PS/DMN/roi_H1.tsv", "DMN/HC/s1.csv_h0.csv", "DMN/HC/s1_h2.csv", "x/structural/DTI_CM.mat",
    )  # fmt: skip

    assert found([tmp_path]) == [
        ("a", "a.tsv"),
        ("b", "b.csv"),
        ("d", "d.npz"),
        ("e", "e.npy"),
        ("f", "f.mat"),
    ]


def test_stems_that_repeat_are_preceded_by_the_folders_that_differ(tmp_path):
    make(tmp_path, "gw/NAP_001/functional/BOLD.mat", "gw/NAP_002/functional/BOLD.mat", "gw/other.mat")

    assert [identifier for identifier, _ in find_series([tmp_path])] == ["NAP_001_BOLD", "NAP_002_BOLD", "other"]


def test_the_authors_folders_give_class_network_and_subject(tmp_path):
    make(tmp_path, "HC/DMN/s1.csv", "HC/CB/s1.csv", "MCI/default_mode/s1.csv", "MCI/frontoparietal/s2.csv")

    assert [identifier for identifier, _ in find_series([tmp_path], layout="authors")] == [
        "HC_CB_s1",
        "HC_DMN_s1",
        "MCI_DMN_s1",
        "MCI_FP_s2",
    ]


def test_a_file_given_twice_counts_once_and_the_order_is_that_of_the_command(tmp_path):
    make(tmp_path, "a.csv", "b.csv")

    assert found([tmp_path / "b.csv", tmp_path, tmp_path / "." / "b.csv"]) == [("b", "b.csv"), ("a", "a.csv")]


@pytest.mark.parametrize(
    "names",
    [
        ("one/sub-01_timeseries.tsv", "two/sub-01_timeseries.tsv"),
        ("sub-01_desc-raw_timeseries.tsv", "sub-01_desc-clean_timeseries.tsv"),
        ("a.csv", "a.mat"),
    ],
)
def test_two_files_with_one_identifier_are_refused_by_name(tmp_path, names):
    make(tmp_path, *names)

    with pytest.raises(InputError, match="has the identifier") as caught:
        find_series([tmp_path])

    assert all(Path(name).name in str(caught.value) for name in names)


def test_two_explicit_files_with_one_stem_are_refused(tmp_path):
    make(tmp_path, "x/a.csv", "y/a.csv")

    with pytest.raises(InputError, match="identifier 'a'"):
        find_series([tmp_path / "x/a.csv", tmp_path / "y/a.csv"])


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"looked for \*_timeseries.tsv, else \*.tsv, \*.csv, \*.mat, \*.npy, \*.npz"):
        find_series([tmp_path])


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_series([tmp_path / "nothing"])


def test_a_file_name_that_is_not_utf8_is_refused_on_one_printable_line(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_text("")

    with pytest.raises(InputError, match=r"caf\\xe9.csv: the file name is not UTF-8"):
        find_series([tmp_path])


def test_names_with_spaces_and_any_script_are_kept(tmp_path):
    make(tmp_path, "Müller 1.csv")

    assert found([tmp_path]) == [("Müller 1", "Müller 1.csv")]


def test_a_loop_of_links_ends(tmp_path):
    make(tmp_path, "a/b.csv")
    (tmp_path / "a/again").symlink_to(tmp_path, target_is_directory=True)

    assert found([tmp_path]) == [("b", "b.csv")]


def test_linked_files_count(tmp_path):
    make(tmp_path, "store/x.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sub-01_timeseries.csv").symlink_to(tmp_path / "store/x.csv")

    assert found([tmp_path / "data"]) == [("sub-01", "sub-01_timeseries.csv")]

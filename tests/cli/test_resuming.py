"""`medtools homology` run again: what is skipped, redone and refused."""

import json
import shutil

from support import (
    contents,
    modification_times,
    results,
    series,
    write_cohort,
    write_series,
)


def test_a_second_run_changes_no_file_and_says_so(done, medtools):
    before = modification_times(done)
    outcome = medtools("homology", "data", "--tr", "3000", "--out", "out")
    assert outcome.code == 0
    assert outcome.lines == [
        "INFO: homology: 3 of 3 samples complete in out, all up to date (use --overwrite to redo them)"
    ]
    assert modification_times(done) == before


def test_a_folder_that_moved_as_a_whole_is_still_up_to_date(done, medtools, monkeypatch):
    assert medtools("homology", "ps", "data/manifest.tsv", "--out", "out").code == 0
    (done / "elsewhere").mkdir()
    for name in ("data", "out"):
        shutil.move(done / name, done / "elsewhere" / name)
    monkeypatch.chdir("/")
    for words in (["data"], ["ps", "data/manifest.tsv"]):
        *step, source = words
        options = ["--tr", "3000"] if not step else []
        outcome = medtools("homology", *step, done / "elsewhere" / source, *options, "--out", done / "elsewhere/out")
        assert outcome.code == 0
        assert "all up to date" in outcome.err


def test_only_the_subject_whose_series_changed_is_redone(done, medtools):
    write_series(done / "data" / "sub-2_timeseries.tsv", series(99))
    before = modification_times(done / "out" / "diagrams")
    assert medtools("homology", "data", "--tr", "3000", "--out", "out").code == 0
    after = modification_times(done / "out" / "diagrams")
    assert sorted({path.stem for path in before if before[path] != after[path]}) == ["sub-2"]


def test_a_damaged_output_is_made_again(done, medtools):
    expected = results(done / "out")
    (done / "out" / "PR" / "sub-1" / "CB_H0.tsv").write_text("roi\n")
    (done / "out" / "diagrams" / "sub-2.npz").unlink()
    assert medtools("homology", "data", "--tr", "3000", "--out", "out").code == 0
    assert results(done / "out") == expected


def test_overwrite_redoes_everything_with_the_same_bytes(done, medtools):
    expected, before = results(done / "out"), modification_times(done / "out" / "PR")
    assert medtools("homology", "data", "--tr", "3000", "--out", "out", "--overwrite").code == 0
    assert results(done / "out") == expected
    assert all(before[path] != now for path, now in modification_times(done / "out" / "PR").items())


def test_outputs_made_by_other_parameters_are_refused_and_left_alone(done, medtools):
    before = contents(done / "out")
    outcome = medtools("homology", "data", "--tr", "3000", "--out", "out", "--order", "2")
    assert outcome.code == 4
    assert len(outcome.lines) == 1
    assert "order was 1.0, now 2.0" in outcome.err
    assert "--overwrite" in outcome.err
    assert contents(done / "out") == before


def test_new_subjects_do_not_slip_in_with_other_parameters(done, medtools):
    write_series(done / "more" / "sub-9_timeseries.tsv", series(9))
    assert medtools("homology", "more", "--tr", "3000", "--out", "out", "--lag", "2").code == 4
    assert not (done / "out" / "diagrams" / "sub-9.npz").exists()


def test_overwriting_removes_what_the_new_parameters_do_not_make(done, medtools):
    assert medtools("homology", "data", "--out", "out", "--max-dim", "0", "--overwrite").code == 0
    assert [path.name for path in sorted((done / "out" / "PR" / "sub-1").iterdir())] == ["CB_H0.tsv"]


def test_an_edited_atlas_makes_the_networks_anew(medtools, tmp_path):
    write_series(tmp_path / "a.tsv", series(1), "ABCD")
    atlas = tmp_path / "atlas.tsv"
    atlas.write_text("name\tnetwork\n" + "".join(f"{roi}\tone\n" for roi in "ABCD"))
    words = ("homology", "a.tsv", "--atlas", "atlas.tsv", "--out", "out", "--max-dim", "0")
    assert medtools(*words).code == 0
    atlas.write_text("name\tnetwork\n" + "".join(f"{roi}\t{net}\n" for roi, net in zip("ABCD", "xxyy", strict=True)))
    assert medtools(*words).code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "PR" / "a").iterdir()) == ["x_H0.tsv", "y_H0.tsv"]


def test_a_record_that_somebody_edited_is_not_trusted(done, medtools):
    expected = results(done / "out")
    for number, text in enumerate(["{", '{"format": 1}', '{"format": 1, "status": "complete", "outputs": 3}'], start=1):
        (done / "out" / "diagrams" / f"sub-{number}.json").write_text(text)
    assert medtools("homology", "data", "--tr", "3000", "--out", "out").code == 0
    assert results(done / "out") == expected


def test_a_record_cannot_make_a_run_delete_files_elsewhere(done, medtools):
    precious = done / "precious.tsv"
    precious.write_text("mine")
    path = done / "out" / "diagrams" / "sub-1.json"
    record = json.loads(path.read_text())
    record["outputs"].append({"path": "../../precious.tsv", "bytes": 4, "sha256": "0" * 64})
    path.write_text(json.dumps(record))
    assert medtools("homology", "data", "--tr", "3000", "--out", "out", "--overwrite").code == 0
    assert precious.read_text() == "mine"


def test_the_users_manifest_is_never_replaced(medtools, tmp_path):
    manifest = write_cohort(tmp_path / "data")
    before = manifest.read_bytes()
    for words in (["data"], ["data/manifest.tsv"]):
        outcome = medtools("homology", *words, "--out", "data")
        assert outcome.code == 2
        assert "--out" in outcome.err
    assert manifest.read_bytes() == before

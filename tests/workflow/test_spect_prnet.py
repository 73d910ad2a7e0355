"""The plan of spect-prnet for a folder of studies: every stage once, and landmarks count as input."""

from support import call, configure, snakemake

from medtools.core.tables import read_tsv

ENTRY = {
    "name": "hearts",
    "system": "spect-prnet",
    "source": "study",
    "params": {"train": {"epochs": 1}, "locate": {"draws": 3}, "score": {"resamples": 100}},
}


def test_a_folder_of_studies_is_trained_on_searched_rebuilt_and_scored(tmp_path):
    outcome = call("demo", "spect-prnet", "--subjects", "2", "--out", tmp_path / "study")
    assert outcome.code == 0, outcome.err
    configure(tmp_path, ENTRY)

    run = snakemake(tmp_path, "--dry-run", "--printshellcmds")

    assert run.returncode == 0, run.stderr
    for rule in ("train", "locate", "reconstruct", "score"):
        assert run.stdout.count(f"rule prnet_{rule}:") == 1
    assert "--set draws=3" in run.stdout
    for row in read_tsv(tmp_path / "study" / "manifest.tsv")[1]:
        assert run.stdout.count(f"study/{row['landmarks']}") == 4


def test_a_missing_landmark_file_is_one_line_before_any_job(tmp_path):
    outcome = call("demo", "spect-prnet", "--subjects", "2", "--out", tmp_path / "study")
    assert outcome.code == 0, outcome.err
    (tmp_path / "study" / "sub-02" / "spect" / "sub-02_landmarks.csv").unlink()
    configure(tmp_path, ENTRY)

    run = snakemake(tmp_path, "--dry-run")

    assert run.returncode == 1
    assert "error: config: datasets[0].source: " in run.stderr
    assert "sub-02_landmarks.csv" in run.stderr
    assert "Traceback" not in run.stderr

"""spect-prnet from slices to scores through the command line, its files, and its refusals."""

import math

import nibabel as nib
import numpy as np
import pytest
from support import call

from medtools.core.stage import Job
from medtools.core.tables import read_tsv
from medtools.io.nifti import write_volume
from medtools.preprocess.spect.heart import read_hearts
from medtools.preprocess.spect.studies import read_landmarks
from medtools.systems.spect_prnet import learning
from medtools.systems.spect_prnet.cohort import find_samples, sample_ids
from medtools.systems.spect_prnet.params import TrainParams
from medtools.systems.spect_prnet.stages import STAGES
from medtools.training.checkpoint import load_checkpoint, read_params
from medtools.training.history import read_history

SHORT = ("--epochs", "2", "--iterations", "2", "--pairs", "2", "--width", "2", "--no-curves")
SUBJECTS = [f"sub-{number:02d}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Four made slices of 64 pixels of 4 mm."""
    folder = tmp_path_factory.mktemp("hearts")
    outcome = call("demo", "spect-prnet", "--subjects", "4", "--out", folder / "data")
    assert outcome.code == 0, outcome.err
    return folder / "data"


@pytest.fixture(scope="module")
def trained(studies):
    """Twenty steps at full width on one slice."""
    out = studies.parent / "run"
    outcome = call("train", "spect-prnet", studies / "manifest.tsv", "--epochs", "2", "--unit", "px", "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module")
def short(studies):
    """A tiny network in millimetres."""
    out = studies.parent / "short"
    outcome = call("train", "spect-prnet", studies, *SHORT, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module")
def located(studies, trained):
    """The landmarks of the first subject, in the others."""
    out = studies.parent / "landmarks"
    outcome = call("infer", "spect-prnet", "locate", studies, "--model", trained, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module")
def scored(studies, trained, located):
    """Scores of both."""
    out = studies.parent / "scores"
    words = ("--landmarks", located, "--pairs", "90", "--resamples", "200")
    outcome = call("score", "spect-prnet", studies, "--model", trained, *words, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


def rows_of(path):
    return read_tsv(path)[1]


def values(folder):
    return {(row["metric"], row["level"]): float(row["value"]) for row in rows_of(folder / "scores.tsv")}


# Training.


def test_a_run_keeps_one_image_by_default_and_logs_both_losses_apart(trained):
    history, stored = read_history(trained / "metrics.csv"), read_params(trained / "model.ckpt")

    assert (stored["images"], stored["unit"], stored["reach"]) == (["sub-01"], "px", [64.0, 64.0])
    assert [row["step"] for row in history] == [10, 20]
    for row in history:
        assert row["loss"] == pytest.approx(row["L_dis"] + row["L_rec"], rel=1e-6)
    assert (trained / "curves.png").is_file()


def test_without_a_unit_asked_for_offsets_are_in_millimetres(short):
    stored = read_params(short / "model.ckpt")

    assert (stored["unit"], stored["reach"], stored["pixel"]) == ("mm", [256.0, 256.0], [4.0, 4.0])


def test_twenty_steps_on_one_slice_beat_no_offset_on_other_subjects(scored):
    # The card, after 500 steps: 2.5 px, 4.4 px on other subjects, 21.2 px without a network.
    found = values(scored)

    assert found["offset_mae_px", "other subjects"] < 0.7 * found["offset_mae_px", "other subjects, predict-zero"]
    assert found["offset_mae_px", "same image"] < 0.6 * found["offset_mae_px", "same image, predict-zero"]


def test_a_training_that_is_stopped_and_called_again_gives_the_same_bytes(studies, short, tmp_path, monkeypatch):
    calls, loss = [], learning.prnet_loss

    def stop_in_the_second_epoch(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(*args, **kwargs)

    words = ("train", "spect-prnet", studies, *SHORT, "--checkpoint-seconds", "0", "--out", tmp_path / "run")
    monkeypatch.setattr(learning, "prnet_loss", stop_in_the_second_epoch)
    stopped = call(*words)
    monkeypatch.setattr(learning, "prnet_loss", loss)
    again = call(*words, "--threads", "2")

    assert stopped.code == 130
    assert again.code == 0, again.err
    assert "training goes on after epoch 1" in again.err
    assert read_weights(tmp_path / "run") == read_weights(short)


def read_weights(run):
    return {name: tensor.numpy().tobytes() for name, tensor in load_checkpoint(run / "model.ckpt").tensors.items()}


@pytest.mark.parametrize(
    "words",
    [
        ("--reconstruction", "0"), ("--distance", "0"), ("--no-skips",), ("--normalize-offsets",),
        ("--mask-rounds", "15"), ("--reach", "40", "--images", "3"), ("--crop", "64", "--images", "all"),
    ],
)  # fmt: skip
def test_ablations_and_options_are_parameters_of_the_same_training(studies, tmp_path, words):
    outcome = call("train", "spect-prnet", studies, *SHORT, *words, "--out", tmp_path)

    assert outcome.code == 0, outcome.err
    row = read_history(tmp_path / "metrics.csv")[-1]
    weights = {"L_dis": "--distance" not in words, "L_rec": "--reconstruction" not in words}
    assert row["loss"] == pytest.approx(sum(row[name] * weight for name, weight in weights.items()), rel=1e-6)


def test_only_what_is_trained_on_is_read(studies):
    job = Job(STAGES["train"], (studies / "manifest.tsv",), studies / "x", TrainParams(images=("sub-03",)))

    names = {path.name for path in learning.reads(job)}

    assert names == {"manifest.tsv", "sub-03_spect.nii.gz", "sub-03_dseg.nii.gz", "sub-03_landmarks.csv"}


# Landmarks.


def test_every_landmark_is_looked_for_in_every_other_study(located):
    rows = rows_of(located / "landmarks.tsv")

    assert [row["id"] for row in rows[::5]] == SUBJECTS[1:]
    assert len(rows) == 15
    assert {row["support"] for row in rows} == {"sub-01"}
    assert (located / "landmarks.png").stat().st_size > 10_000


def test_places_are_in_pixels_and_millimetres_of_the_slice_and_of_the_scanner(studies, located):
    for row in rows_of(located / "landmarks.tsv"):
        place, true = (np.array([float(row[f"{of}row"]), float(row[f"{of}col"])]) for of in ("", "true_"))
        affine = nib.load(studies / row["id"] / "spect" / f"{row['id']}_spect.nii.gz").affine
        # The made files: the first axis runs along columns, the second along rows.
        world = affine @ [place[1], place[0], 0, 1]

        assert (float(row["row_mm"]), float(row["col_mm"])) == pytest.approx(tuple(4 * place))
        assert [float(row[key]) for key in ("x_mm", "y_mm", "z_mm")] == pytest.approx(world[:3].tolist())
        assert float(row["error_px"]) == pytest.approx(math.dist(place, true))
        assert float(row["error_mm"]) == pytest.approx(4 * math.dist(place, true))


def test_what_was_found_can_be_the_landmark_file_of_the_next_support(studies, located, short, tmp_path):
    # Check 11: (row, column) in pixels of the whole slice, there and back.
    found = [row for row in rows_of(located / "landmarks.tsv") if row["id"] == "sub-02"]
    lines = [f"{row['name']},{row['row']},{row['col']}" for row in found]
    (tmp_path / "sub-02_landmarks.csv").write_text("\n".join(["name,row,col", *lines]) + "\n")
    read = read_landmarks(tmp_path / "sub-02_landmarks.csv", "sub-02")

    assert read == {row["name"]: (float(row["row"]), float(row["col"])) for row in found}
    for crop in (None, 48):
        image = studies / "sub-03" / "spect" / "sub-03_spect.nii.gz"
        heart = read_hearts([image], crop=crop)[0]
        true = read_landmarks(image.with_name("sub-03_landmarks.csv"), "sub-03")
        for name, (row, column) in heart.landmarks.items():
            assert (row + heart.corner[0], column + heart.corner[1]) == pytest.approx(true[name])


def test_a_fine_network_moves_what_the_coarse_one_found(studies, trained, located, short, tmp_path):
    words = ("infer", "spect-prnet", "locate", studies, "--model", trained, "--support", "sub-01")
    plain = call(*words, "--refine", "0", "--out", tmp_path / "plain")
    fine = call(*words, "--refine", "2", "--fine", short, "--draws", "3", "--out", tmp_path / "fine")

    assert (plain.code, fine.code) == (0, 0), plain.err + fine.err
    tables = [rows_of(folder / "landmarks.tsv") for folder in (located, tmp_path / "plain", tmp_path / "fine")]
    assert len({row[0]["row"] for row in tables}) == 3


def test_a_support_need_not_be_trained_on_and_queries_need_no_landmarks(studies, short, tmp_path):
    image = studies / "sub-02" / "spect" / "sub-02_spect.nii.gz"
    (tmp_path / "bare").mkdir()
    for name in ("a", "b"):
        (tmp_path / "bare" / f"{name}.nii.gz").write_bytes(image.read_bytes())

    outcome = call(
        *("infer", "spect-prnet", "locate", image, tmp_path / "bare" / "a.nii.gz", tmp_path / "bare" / "b.nii.gz"),
        *("--model", short, "--support", "sub-02", "--out", tmp_path / "out"),
    )

    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "out" / "landmarks.tsv")
    assert [row["id"] for row in rows[::5]] == ["a", "b"]
    assert {row["error_px"] for row in rows} == {"n/a"}


# Reconstruction.


def test_reconstructions_lie_in_their_files_own_grid(studies, trained, tmp_path):
    outcome = call("infer", "spect-prnet", "reconstruct", studies, "--model", trained, "--out", tmp_path)

    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "reconstruction.tsv")
    assert [row["id"] for row in rows] == SUBJECTS
    for row in rows:
        given = nib.load(studies / row["id"] / "spect" / f"{row['id']}_spect.nii.gz")
        found = nib.load(tmp_path / row["file"])
        assert found.shape == given.shape
        assert np.array_equal(found.affine, given.affine)
        values = np.asarray(found.dataobj)
        assert (values.min() >= 0, values.max() <= 1) == (True, True)
        assert float(row["mse"]) == pytest.approx(float(np.mean((values - given.get_fdata()) ** 2)), rel=1e-4)
        assert float(row["psnr_db"]) == pytest.approx(-10 * math.log10(float(row["mse"])), rel=1e-4)


# Scores.


def test_scores_hold_the_network_and_every_baseline_on_both_levels(scored):
    found = values(scored)

    for level in ("same image", "other subjects"):
        for method in ("", ", predict-zero", ", predict-mean"):
            for axis in ("", "row_", "col_"):
                pixels = found[f"offset_mae_{axis}px", level + method]
                assert found[f"offset_mae_{axis}mm", level + method] == pytest.approx(4 * pixels)
            both = [found[f"offset_mae_{axis}_px", level + method] for axis in ("row", "col")]
            assert found["offset_mae_px", level + method] == pytest.approx(np.mean(both))
        for metric in ("patch_mse", "patch_mse_of_its_mean", "slice_mse", "slice_psnr_db", "slice_ssim"):
            assert math.isfinite(found[metric, level])
    for method in ("prnet", "template matching", "same place as in the support"):
        for metric in ("error_px", "error_sd_px", "error_mm", "within_10_px"):
            assert found[f"landmark_{metric}", f"{method}, all landmarks"] >= 0
        assert found["landmark_error_px", f"{method}, liver_centroid"] > 0
    for name in ("offsets", "losses", "landmark_errors"):
        assert (scored / f"{name}.png").stat().st_size > 10_000


def test_no_offset_is_wrong_by_a_third_of_the_slice(scored):
    # Two uniform pixels of n are (n^2 - 1) / (3 n) apart on average: 21.3 of 64; nearly all pixels are foreground.
    assert values(scored)["offset_mae_px", "other subjects, predict-zero"] == pytest.approx(21.3, abs=2.5)


def test_landmark_errors_are_those_that_were_located(located, scored):
    errors = [float(row["error_px"]) for row in rows_of(located / "landmarks.tsv")]
    found = values(scored)
    listed = [row for row in rows_of(scored / "landmark_errors.tsv") if row["method"] == "prnet"]

    assert [float(row["error_px"]) for row in listed] == pytest.approx(errors)
    assert found["landmark_error_px", "prnet, all landmarks"] == pytest.approx(np.mean(errors))
    assert found["landmark_error_sd_px", "prnet, all landmarks"] == pytest.approx(np.std(errors))
    within = np.mean(np.array(errors) < 10)
    assert found["landmark_within_10_px", "prnet, all landmarks"] == pytest.approx(within)


def test_the_published_loss_stands_beside_ours_without_a_unit(scored):
    rows = rows_of(scored / "comparison.tsv")

    assert [(row["metric"], row["published"]) for row in rows] == [("loss", "1.395")]


def test_the_table_has_networks_and_baselines_and_what_is_finished_is_not_trained_again(studies, tmp_path):
    words = ("reproduce", "spect-prnet", studies, "--epochs", "1", "--width", "2", "--pairs", "20", "--out", tmp_path)

    outcome = call(*words, "--rows", "no-dis")
    assert outcome.code == 0, outcome.err
    rows = {row["row"]: row for row in rows_of(tmp_path / "table.tsv")}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("runs/*/*.ckpt")}
    (tmp_path / "reproduce.json").unlink()
    again = call(*words, "--rows", "no-dis")

    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert list(rows) == [
        *("no-dis", "predict-zero", "predict-mean", "template matching"),
        *("same place as in the support", "mean of the patch"),
    ]
    assert float(rows["no-dis"]["L_dis"]) > 100
    assert float(rows["predict-zero"]["offset_mae_px_other_subjects"]) > 10
    for method in ("no-dis", "template matching", "same place as in the support"):
        assert float(rows[method]["landmark_error_px"]) > 0
    assert 0 < float(rows["mean of the patch"]["patch_mse_other_subjects"]) < 0.1
    assert read_params(tmp_path / "runs" / "no-dis" / "model.ckpt")["distance"] == 0


# Bad input.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--patch", "40"), "patch must be >= 32 and a multiple of 16, found 40"),
        (("--patch", "16"), "patch must be >= 32 and a multiple of 16, found 16"),
        (("--images", "9"), "--images: 9 asked for, there are 4"),
        (("--images", "sub-99"), "no study 'sub-99'"),
        (("--reach", "3"), "no more than a pixel"),
        (("--distance", "0", "--reconstruction", "0"), "nothing is left to learn"),
    ],
)
def test_bad_options_of_training_are_one_clear_line(studies, tmp_path, words, message):
    outcome = call("train", "spect-prnet", studies, *SHORT, *words, "--out", tmp_path / "run")

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.lines) <= 5
    assert not (tmp_path / "run" / "model.ckpt").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((64, 64, 1)), "no foreground pixel"),
        (np.full((64, 64, 1), 7.0), "no foreground pixel"),
        (np.full((64, 64, 1), np.nan), "not finite"),
    ],
)
def test_an_empty_constant_or_broken_slice_is_one_clear_line(tmp_path, values, message):
    write_volume(tmp_path / "sub-1.nii.gz", values.astype(np.float32), np.eye(4))

    outcome = call("train", "spect-prnet", tmp_path / "sub-1.nii.gz", *SHORT, "--out", tmp_path / "run")

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.lines) <= 5


def test_bad_supports_are_one_clear_line(studies, short, tmp_path):
    words = ("infer", "spect-prnet", "locate")
    image = studies / "sub-01" / "spect" / "sub-01_spect.nii.gz"
    moved = tmp_path / "sub-9" / "spect"
    moved.mkdir(parents=True)
    (moved / "sub-9_spect.nii.gz").write_bytes(image.read_bytes())
    bare = call(
        *words, studies, moved / "sub-9_spect.nii.gz", "--model", short, "--support", "sub-9", "--out", tmp_path
    )
    (moved / "sub-9_landmarks.csv").write_text("name,row,col\napex,70,3\n")
    outside = call(*words, studies, tmp_path / "sub-9", "--model", short, "--support", "sub-9", "--out", tmp_path)
    missing = call(*words, studies, "--model", short, "--support", "sub-77", "--out", tmp_path)
    alone = call(*words, image, "--model", short, "--out", tmp_path)

    for outcome, message in (
        (bare, "sub-9 has no landmarks"),
        (outside, "landmark 'apex' of sub-9 is at (70, 3)"),
        (missing, "no study 'sub-77'"),
        (alone, "no other study than the support sub-01"),
    ):
        assert outcome.code == 2
        assert message in outcome.err
        assert len(outcome.lines) <= 5


def test_slices_unlike_those_trained_on_are_warned_of_or_refused(studies, short, tmp_path):
    values = np.random.default_rng(0).random((200, 200, 1)).astype(np.float32)
    write_volume(tmp_path / "large.nii.gz", values, np.diag([-2.0, -2.0, 2.0, 1.0]))
    words = ("infer", "spect-prnet", "reconstruct")

    warned = call(*words, tmp_path / "large.nii.gz", "--model", short, "--out", tmp_path / "out")
    foreign = call(*words, tmp_path / "large.nii.gz", "--model", tmp_path, "--out", tmp_path / "none")

    assert warned.code == 0, warned.err
    assert "have pixels of another size than the 4 x 4 mm trained on" in warned.err
    assert "are larger than the 64 x 64 pixels trained on" in warned.err
    assert (foreign.code, "model.ckpt" in foreign.err) == (2, True)


def test_the_made_cohort_is_known_before_it_is_made(studies):
    assert [row["id"] for row in rows_of(studies / "manifest.tsv")] == sample_ids({"subjects": 4}) == SUBJECTS
    assert set(find_samples(studies)) == set(SUBJECTS)
    assert STAGES["infer locate"].section == "locate"

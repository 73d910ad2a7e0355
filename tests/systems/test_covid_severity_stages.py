"""From a folder of DICOM to scores, pictures and tables, through the command line."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from support import call, contents, results

from medtools.core.tables import read_tsv
from medtools.io.dicom import read_ct
from medtools.io.nifti import write_volume

IDENTIFYING = (
    *("PatientName", "PatientID", "InstitutionName", "ReferringPhysicianName", "StudyDescription"),
    *("AccessionNumber", "SeriesDescription", "OperatorsName", "StationName", "PatientComments"),
)
MASKS = ("infection", "candidate", "pleura", "organ", "vessel", "artefact", "lobes")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Two phantoms of 96 pixels and 24 slices as DICOM, with lobes, true infection and grades."""
    out = tmp_path_factory.mktemp("covid") / "data"
    outcome = call("demo", "covid-severity", "--out", out, "--scans", "2", "--size", "96", "--slices", "24")
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module")
def severity(demo):
    """What infer made of the demo, with ablations."""
    out = demo.parent / "severity"
    outcome = call("infer", "covid-severity", demo / "scans", "--lobes", demo / "lobes", "--out", out, "--ablation")
    assert outcome.code == 0, outcome.err
    return out


def prediction(folder, name="phantom-001"):
    _, rows = read_tsv(folder / "predictions.tsv")
    return next(row for row in rows if row["id"] == name)


def test_one_command_gives_scores_masks_and_pictures(severity):
    _, rows = read_tsv(severity / "predictions.tsv")

    assert [row["id"] for row in rows] == ["phantom-001", "phantom-002"]
    for row in rows:
        points = [
            int(row[f"{side}_score"])
            for side in ("left_upper", "left_lower", "right_upper", "right_middle", "right_lower")
        ]
        assert sum(points) == int(row["total"])
        folder = severity / row["id"]
        assert {path.name for path in folder.iterdir()} == {
            *(f"{mask}.nii.gz" for mask in MASKS), "montage.png", "viewer.html", "severity.json", "infer.json",
        }  # fmt: skip
    assert Image.open(severity / "involvement.png").width > 500


def test_masks_lie_where_the_dicom_slices_lie(demo, severity):
    ct = read_ct(demo / "scans" / "phantom-001")

    for mask in MASKS:
        image = nib.load(severity / "phantom-001" / f"{mask}.nii.gz")
        assert image.shape == ct.hu.shape
        assert image.affine == pytest.approx(ct.affine)
        assert image.get_data_dtype() == np.uint8
    infection = np.asarray(nib.load(severity / "phantom-001" / "infection.nii.gz").dataobj) > 0
    assert np.median(ct.hu[infection]) == pytest.approx(-480, abs=80)


def test_the_index_leads_to_every_scan(severity):
    page = (severity / "index.html").read_text()

    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(links) == 6
    assert all((severity / link).is_file() for link in links)


def test_the_viewer_is_one_file_that_loads_nothing(severity):
    page = (severity / "phantom-001" / "viewer.html").read_text()

    assert not re.search(r"""(?:src|href)\s*=|https?:|@import|fetch\(""", page.replace('i.src="data:', ""))
    assert page.count('"/9j/') == len(json.loads(re.search(r"D=(\[\[.*?\]\]);", page)[1]))
    assert "phantom-001" in page


def test_two_threads_and_a_second_run_give_the_same_bytes(demo, severity):
    again = demo.parent / "again"

    call(
        "infer",
        "covid-severity",
        demo / "scans",
        "--lobes",
        demo / "lobes",
        "--out",
        again,
        "--ablation",
        "--threads",
        "2",
    )

    assert results(again) == results(severity)
    assert contents(again, ".html", ".gz") == contents(severity, ".html", ".gz")


def test_a_finished_cohort_is_left_alone_and_other_parameters_are_refused(demo, severity):
    before = {path: path.stat().st_mtime_ns for path in severity.rglob("*.nii.gz")}
    words = ("infer", "covid-severity", demo / "scans", "--lobes", demo / "lobes", "--out", severity)

    assert call(*words, "--ablation").code == 0
    assert {path: path.stat().st_mtime_ns for path in severity.rglob("*.nii.gz")} == before
    refused = call(*words, "--ablation", "--variant", "code")
    assert refused.code == 4
    assert "variant was 'paper', now 'code'" in refused.err


def test_preprocessing_first_gives_the_same_scores(demo, severity):
    prepared, out = demo.parent / "ct", demo.parent / "from_ct"

    assert call("preprocess", "ct", demo / "scans", "--lobes", demo / "lobes", "--out", prepared).code == 0
    assert call("infer", "covid-severity", prepared / "manifest.tsv", "--out", out, "--no-viewer").code == 0

    for name in ("phantom-001", "phantom-002"):
        one, other = prediction(severity, name), prediction(out, name)
        assert {key: one[key] for key in other} == other
    assert not list(out.rglob("viewer.html"))
    _, rows = read_tsv(prepared / "manifest.tsv")
    assert rows[0]["ct"] == "phantom-001/ct.nii.gz"


def test_a_turned_and_flipped_nifti_gets_the_same_score(demo, severity, tmp_path):
    # The card's check 11.
    ct = read_ct(demo / "scans" / "phantom-001")
    lobes = nib.load(demo / "lobes" / "phantom-001.nii.gz")
    for name, image in (("ct", nib.Nifti1Image(ct.hu, ct.affine)), ("lobes", lobes)):
        # Another axis order, left-right flipped, feet last.
        turn = nib.orientations.axcodes2ornt(("S", "R", "A"))
        turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), turn))
        write_volume(tmp_path / f"{name}.nii.gz", np.asarray(turned.dataobj), turned.affine)

    outcome = call(
        *("infer", "covid-severity", tmp_path / "ct.nii.gz", "--lobes", tmp_path / "lobes.nii.gz"),
        *("--out", tmp_path / "out"),
    )

    assert outcome.code == 0, outcome.err
    expected, found = prediction(severity), prediction(tmp_path / "out", "ct")
    keys = [key for key in expected if key.endswith(("_percent", "_ml")) or key in ("total", "class")]
    assert {key: found[key] for key in keys} == {key: expected[key] for key in keys}
    masks = [nib.load(folder / "infection.nii.gz") for folder in (severity / "phantom-001", tmp_path / "out" / "ct")]
    assert np.array_equal(*(nib.as_closest_canonical(mask).get_fdata() for mask in masks))


def broken(demo, folder):
    """A cohort of one good study and seven bad ones, each with its lobe mask; returns what each is refused for."""
    good = demo / "scans" / "phantom-001"
    faults = {}

    def study(name, fault):
        shutil.copytree(good, folder / "scans" / name)
        shutil.copy(demo / "lobes" / "phantom-001.nii.gz", folder / "lobes" / f"{name}.nii.gz")
        faults[name] = fault
        return folder / "scans" / name

    (folder / "lobes").mkdir(parents=True)
    study("good", None)
    truncated = study("truncated", "truncated") / "0012.dcm"
    truncated.write_bytes(truncated.read_bytes()[:9000])
    for path in study("scout", "no CT volume in it, only: localizer").glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        image.save_as(path)
    for path in study("two_series", "2 CT series in one folder").glob("*1.dcm"):
        image = pydicom.dcmread(path)
        image.SeriesInstanceUID = image.SeriesInstanceUID[:60] + ".1"
        image.save_as(path)
    for path in study("not_hu", "not HU").glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.RescaleIntercept = 0
        image.save_as(path)
    for path in sorted(study("partial", "partial lung").glob("*.dcm"))[:8]:
        path.unlink()
    lobes = nib.load(demo / "lobes" / "phantom-001.nii.gz")
    data = np.asarray(lobes.dataobj)
    write_volume(
        folder / "lobes" / "partial.nii.gz",
        data[:, :, 8:],
        lobes.affine @ np.array(np.eye(4) + np.eye(4, k=1) * [[0], [0], [8], [0]]),
    )
    study("other_grid", "another grid than the CT")
    write_volume(folder / "lobes" / "other_grid.nii.gz", data[::2], lobes.affine @ np.diag([2, 1, 1, 1]))
    study("labels", "label 7 in it")
    write_volume(folder / "lobes" / "labels.nii.gz", np.where(data == 5, 7, data).astype(np.uint8), lobes.affine)
    return faults


def test_bad_studies_are_named_and_the_others_go_on(demo, tmp_path):
    faults = broken(demo, tmp_path)

    outcome = call(
        *("infer", "covid-severity", tmp_path / "scans", "--lobes", tmp_path / "lobes"),
        *("--out", tmp_path / "out", "--no-viewer"),
    )

    assert outcome.code == 3
    _, rows = read_tsv(tmp_path / "out" / "failures.tsv")
    causes = {row["id"]: row["cause"] for row in rows}
    assert set(causes) == {name for name, fault in faults.items() if fault}
    assert all(fault in causes[name] for name, fault in faults.items() if fault), causes
    assert [row["id"] for row in read_tsv(tmp_path / "out" / "predictions.tsv")[1]] == ["good"]
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"good"}
    assert "Traceback" not in outcome.err


def test_an_empty_lobe_gives_no_total_and_says_so(demo, tmp_path):
    lobes = nib.load(demo / "lobes" / "phantom-001.nii.gz")
    data = np.asarray(lobes.dataobj)
    write_volume(tmp_path / "mask.nii.gz", np.where(data == 4, 3, data).astype(np.uint8), lobes.affine)

    outcome = call(
        *("infer", "covid-severity", demo / "scans" / "phantom-001", "--lobes", tmp_path / "mask.nii.gz"),
        *("--out", tmp_path / "out", "--no-viewer"),
    )

    assert outcome.code == 0
    row = prediction(tmp_path / "out")
    assert (row["total"], row["class"], row["right_middle_score"]) == ("n/a", "n/a", "n/a")
    assert "no voxel of the right middle lobe" in row["notes"]
    assert "no voxel of the right middle lobe" in outcome.err


def test_lungs_by_threshold_give_involvement_and_no_score(demo, tmp_path):
    outcome = call(
        *("infer", "covid-severity", demo / "scans" / "phantom-001", "--lung-only", "--out", tmp_path / "out")
    )

    assert outcome.code == 0, outcome.err
    row = prediction(tmp_path / "out")
    assert row["total"] == row["class"] == "n/a"
    assert 0 <= float(row["left_lung_percent"]) <= 100
    assert "left_upper_percent" not in row
    assert "no lobe scores" in row["notes"]
    assert "no score" in (tmp_path / "out" / "phantom-001" / "viewer.html").read_text()
    assert call("score", "covid-severity", tmp_path / "out", "--out", tmp_path / "scores").code == 0
    assert prediction(tmp_path / "scores")["total"] == "n/a"


def test_without_mask_or_weights_the_choices_are_named(demo, tmp_path):
    outcome = call("infer", "covid-severity", demo / "scans", "--out", tmp_path / "out")

    assert outcome.code == 2
    assert all(word in outcome.err for word in ("no lobe mask", "--lobes", "--lobe-weights", "--lung-only"))
    assert len(outcome.lines) <= 5


def test_no_name_from_a_header_reaches_any_output(demo, tmp_path):
    canary = "Zzyzx"
    study = tmp_path / "scans" / "study"
    shutil.copytree(demo / "scans" / "phantom-001", study)
    for path in study.glob("*.dcm"):
        image = pydicom.dcmread(path)
        for name in IDENTIFYING:
            setattr(image, name, canary)
        image.PatientBirthDate, image.PatientAge = "19010203", "099Y"
        image.save_as(path)

    outcome = call(
        *("infer", "covid-severity", study, "--lobes", demo / "lobes" / "phantom-001.nii.gz"),
        *("--out", tmp_path / "out"),
    )

    assert outcome.code == 0, outcome.err
    found = contents(tmp_path / "out")
    found |= {name: nib.load(tmp_path / "out" / name).header.binaryblock for name in found if name.endswith(".gz")}
    assert not [name for name, content in found.items() if canary.encode() in content or b"19010203" in content]
    assert canary not in outcome.err + outcome.out


def test_grades_give_agreement_coverage_fairness_and_the_ablation(demo, severity, tmp_path):
    outcome = call(
        *("score", "covid-severity", severity, "--grades", demo / "grades.tsv", "--out", tmp_path / "scores"),
        *("--resamples", "200"),
    )

    assert outcome.code == 0, outcome.err
    _, rows = read_tsv(tmp_path / "scores" / "scores.tsv")
    levels = {row["level"] for row in rows}
    assert {"proposed", "threshold only", "without vessels", "without stage 6"} <= levels
    assert levels & {"female", "male"}
    overall = {row["metric"]: row for row in rows if row["level"] == "proposed"}
    truth = {row["id"]: int(row["grade"]) for row in read_tsv(demo / "grades.tsv")[1]}
    errors = [int(prediction(severity, name)["total"]) - grade for name, grade in truth.items()]
    assert float(overall["bias"]["value"]) == pytest.approx(np.mean(errors))
    assert overall["grade_qwk"]["n"] == "2"
    _, compared = read_tsv(tmp_path / "scores" / "comparison.tsv")
    assert next(row for row in compared if row["metric"] == "grade_qwk")["published"] == "0.81312"
    for figure in ("coverage", "fairness", "ablation", "involvement"):
        assert Image.open(tmp_path / "scores" / f"{figure}.png").height > 100


def test_scores_from_masks_are_those_of_inference(severity, tmp_path):
    assert call("score", "covid-severity", severity, "--out", tmp_path / "scores").code == 0

    for name in ("phantom-001", "phantom-002"):
        one, other = prediction(severity, name), prediction(tmp_path / "scores", name)
        keys = [key for key in one if key.endswith(("_percent", "_score")) or key.startswith("total")]
        assert {key: other[key] for key in keys} == {key: one[key] for key in keys}
    assert not (tmp_path / "scores" / "scores.tsv").exists()


def test_true_masks_score_as_graded_and_both_sources_stand_side_by_side(demo, severity, tmp_path):
    for name in ("phantom-001", "phantom-002"):
        shutil.copytree(severity / name, tmp_path / "cohort" / name)
        shutil.copy(demo / "infection" / f"{name}.nii.gz", tmp_path / "cohort" / name / "annotation.nii.gz")
    _, rows = read_tsv(severity / "manifest.tsv")
    lines = ["id\tsubject\tinfection\tlobes\tannotation"]
    lines += [f"{r['id']}\t{r['subject']}\t{r['infection']}\t{r['lobes']}\t{r['id']}/annotation.nii.gz" for r in rows]
    (tmp_path / "cohort" / "manifest.tsv").write_text("\n".join(lines) + "\n")
    grades = tmp_path / "grades.csv"
    body = (demo / "grades.tsv").read_text().replace("\t", ",")
    grades.write_text(body + "phantom-009,-,50,F\nphantom-010,3,50,F\n")

    outcome = call(
        *("reproduce", "covid-severity", tmp_path / "cohort" / "manifest.tsv", "--grades", grades),
        *("--out", tmp_path / "tables", "--resamples", "200"),
    )

    assert outcome.code == 0, outcome.err
    _, rows = read_tsv(tmp_path / "tables" / "scores.tsv")
    coverage = {row["level"]: float(row["value"]) for row in rows if row["metric"] == "coverage_0"}
    assert coverage["annotations"] == 1
    _, compared = read_tsv(tmp_path / "tables" / "comparison.tsv")
    assert {row["level"] for row in compared} >= {"proposed", "annotations"}
    _, excluded = read_tsv(tmp_path / "tables" / "excluded.tsv")
    assert {row["id"]: row["reason"] for row in excluded} == {
        "phantom-009": "not graded: no comment",
        "phantom-010": "graded, but not in the manifest",
    }


def test_identifiers_that_do_not_agree_are_an_error(severity, tmp_path):
    (tmp_path / "grades.tsv").write_text("id\tgrade\nsomebody\t3\n")

    outcome = call("score", "covid-severity", severity, "--grades", tmp_path / "grades.tsv", "--out", tmp_path / "out")

    assert outcome.code == 2
    assert "no scan has both a score and a grade" in outcome.err


def test_the_estimate_holds_the_largest_scan(demo, tmp_path):
    outcome = call("infer", "covid-severity", demo / "scans", "--lobes", demo / "lobes", "--estimate")
    refused = call(
        *("infer", "covid-severity", demo / "scans", "--lobes", demo / "lobes", "--max-mem", "100M"),
        *("--out", tmp_path / "out"),
    )

    assert "peak memory" in outcome.out + outcome.err
    assert refused.code == 4
    assert not (tmp_path / "out").exists()


def test_the_scripts_variant_works_on_512_pixels_and_returns_to_the_scans_own(demo, tmp_path):
    ct = read_ct(demo / "scans" / "phantom-001")
    lobes = np.asarray(nib.load(demo / "lobes" / "phantom-001.nii.gz").dataobj)
    middle = slice(10, 15)
    write_volume(tmp_path / "ct.nii.gz", ct.hu[:, :, middle], ct.affine)
    write_volume(tmp_path / "lobes.nii.gz", lobes[:, :, middle], ct.affine)

    outcome = call(
        *("infer", "covid-severity", tmp_path / "ct.nii.gz", "--lobes", tmp_path / "lobes.nii.gz"),
        *("--out", tmp_path / "out", "--variant", "code", "--no-viewer", "--allow-partial"),
    )

    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "out" / "ct" / "severity.json").read_text())
    assert found["area_scale"] == 1
    assert nib.load(tmp_path / "out" / "ct" / "infection.nii.gz").shape == (96, 96, 5)


@pytest.mark.parametrize("window", ["-1", "-1,-595", "-595,0,1"])
def test_a_window_that_is_none_is_refused(demo, tmp_path, window):
    outcome = call(
        *("infer", "covid-severity", demo / "scans", "--lobes", demo / "lobes", "--out", tmp_path / "out"),
        f"--hu-window={window}",
    )

    assert outcome.code == 2
    assert "expected two numbers, low,high" in outcome.err

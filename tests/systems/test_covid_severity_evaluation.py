"""Agreement with grades: the card's kappas and coverages, scikit-learn's, subgroups, and the authors' sheet."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from support import call

from medtools.core.errors import InputError
from medtools.core.manifest import Row
from medtools.systems.covid_severity.evaluation import Cohort, agreement, fairness, flat
from medtools.systems.covid_severity.grades import read_grades
from medtools.systems.covid_severity.scoring import ablated_totals, published


def cohort(truth, predicted, sex=None, age=None, subjects=None):
    n = len(truth)
    return Cohort(
        np.array(truth),
        np.array(predicted),
        np.array(subjects if subjects is not None else [f"sub-{i}" for i in range(n)]),
        np.array(sex if sex is not None else [""] * n),
        np.array(age if age is not None else [math.nan] * n, dtype=float),
    )


def scores(truth, predicted, **options):
    return agreement(cohort(truth, predicted), "all", seed=0, resamples=200, **options)


def test_identical_scores_agree_fully():
    found = scores([0, 3, 12, 25], [0, 3, 12, 25])

    assert found["grade_qwk"].value == found["severity_qwk"].value == 1
    assert found["bias"].value == found["mae"].value == 0


def test_fixed_and_observed_categories_differ_as_documented():
    # The card's check 3: 0.99606 with the 26 possible scores, 0.5 with those that occur.
    found = scores([0, 1, 20], [1, 0, 20])

    assert found["grade_qwk"].value == pytest.approx(0.99606, abs=5e-6)
    assert found["grade_qwk_observed"].value == pytest.approx(0.5)


def test_evenly_spaced_scores_give_the_same_either_way():
    found = scores([0, 10, 20], [0, 20, 10])

    assert found["grade_qwk"].value == pytest.approx(0.5)
    assert found["grade_qwk_observed"].value == pytest.approx(0.5)


def test_coverage_counts_the_errors_within_the_tolerance():
    # The card's check 4: errors 0, 1, -2, 3, 5, 9.
    found = scores([10, 10, 10, 10, 10, 10], [10, 11, 8, 13, 15, 19])

    assert [found[f"coverage_{alpha}"].value for alpha in range(6)] == pytest.approx(
        [1 / 6, 2 / 6, 3 / 6, 4 / 6, 4 / 6, 5 / 6]
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=3, max_size=40))
def test_kappas_are_scikit_learns(pairs):
    truth, predicted = map(list, zip(*pairs, strict=True))
    fixed = cohen_kappa_score(truth, predicted, labels=range(26), weights="quadratic")
    observed = cohen_kappa_score(truth, predicted, weights="quadratic")

    found = agreement(cohort(truth, predicted), "all", seed=0, resamples=100)

    assert found["grade_qwk"].value == pytest.approx(fixed, abs=1e-9, nan_ok=True)
    assert found["grade_qwk_observed"].value == pytest.approx(observed, abs=1e-9, nan_ok=True)


def test_intervals_hold_the_value_and_repeat():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 22, 60)
    predicted = np.clip(truth + rng.integers(-4, 5, 60), 0, 25)

    one, other = scores(truth, predicted), scores(truth, predicted)

    assert one == other
    assert one["grade_qwk"].ci_low < one["grade_qwk"].value < one["grade_qwk"].ci_high
    assert one["grade_qwk"].n == 60


def test_scans_of_one_subject_are_drawn_together():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 22, 40)
    predicted = np.clip(truth + rng.integers(-6, 7, 40), 0, 25)
    alone = agreement(cohort(truth, predicted), "all", seed=0, resamples=400)["mae"]
    pairs = cohort(np.repeat(truth, 2), np.repeat(predicted, 2), subjects=np.repeat([f"s{i}" for i in range(40)], 2))

    together = agreement(pairs, "all", seed=0, resamples=400)["mae"]

    # The same 40 subjects twice: as independent scans their interval would be a third narrower.
    assert together.ci_high - together.ci_low == pytest.approx(alone.ci_high - alone.ci_low, rel=0.15)


def test_subgroups_are_the_papers_bands():
    sex = ["F", "F", "F", "M", "M", ""]
    age = [40, 40.9, 41, 70, 71, 30]
    found = fairness(cohort([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], sex, age), seed=0, resamples=100)

    assert {title: {name: m["mae"].n for name, m in groups.items()} for title, groups in found.items()} == {
        "sex": {"female": 3, "male": 2},
        "female by age": {"up to 40": 2, "41 to 50": 1},
        "male by age": {"61 to 70": 1, "above 70": 1},
    }
    assert {score.level for score in flat(found)} >= {"female", "male, above 70"}


def test_a_group_of_one_class_has_no_kappa_and_says_so():
    found = scores([3, 3, 3], [3, 3, 3])

    assert math.isnan(found["grade_qwk"].value)


def test_every_published_row_has_a_level_that_the_evaluation_makes():
    sex, age = np.repeat(["F", "M"], 5), np.tile([30, 45, 55, 65, 80], 2)
    made = fairness(cohort(np.arange(10), np.arange(10), sex, age), seed=0, resamples=100)
    known = {(score.metric, score.level) for score in flat(made)}
    known |= {(name, level) for name in scores([1, 2], [1, 2]) for level in ("proposed", "annotations")}

    table = published()

    assert set(table) <= known
    assert len(table) == 8 * 14
    assert table["grade_qwk", "proposed"] == 0.81312
    assert table["grade_qwk", "female, above 70"] == -0.4


@pytest.mark.parametrize("wrong", [-1, 26])
def test_scores_outside_the_scale_are_refused(wrong):
    with pytest.raises(InputError, match="outside 0 to 25"):
        scores([1, 2], [1, wrong])


def test_the_authors_sheet_is_understood(tmp_path):
    sheet = tmp_path / "COVID_grade.csv"
    sheet.write_text('Dataset,Sequence ID,Series ID,Score,Comments\nR,1,s-1,8,\nR,2,s-2,-,"scars, both lower lobes"\n')

    found = read_grades(sheet)

    assert found["s-1"].grade == 8
    assert found["s-2"].grade is None
    assert found["s-2"].comment == "scars, both lower lobes"


def test_age_and_sex_come_in_dicoms_form_too(tmp_path):
    table = tmp_path / "grades.tsv"
    table.write_text("id\tgrade\tage\tsex\na\t3\t045Y\tfemale\nb\t25\tn/a\tO\n")

    found = read_grades(table)

    assert (found["a"].age, found["a"].sex) == (45, "F")
    assert math.isnan(found["b"].age)
    assert found["b"].sex == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,grade\na,26\n", "line 2: grade '26', expected a whole number"),
        ("id,grade\na,3.5\n", "whole number"),
        ("id,grade\na,many\n", "no number"),
        ("id,grade\na,3\na,4\n", "line 3: 'a' is graded twice"),
        ("id,points\na,3\n", "no column 'grade'"),
        ("id,grade,age\na,3,inf\n", "age 'inf'"),
        ("id,grade,age\na,3,-3\n", "age '-3', expected years from 0 to 130"),
        ("id,grade,age\na,3,900\n", "expected years"),
        ("id,grade\n", "no column 'id'"),
    ],
)
def test_a_faulty_table_of_grades_is_refused(tmp_path, text, message):
    table = tmp_path / "grades.csv"
    table.write_text(text)

    with pytest.raises(InputError, match=message):
        read_grades(table)


def test_only_totals_of_ablations_are_carried():
    row = Row("a", "a", {"total_without_pleura": "7", "total_cost": "12.5"})

    assert ablated_totals(row) == {"total_without_pleura": 7}


@pytest.mark.parametrize("wrong", ["7.5", "26", "-1", "many"])
def test_a_total_that_is_no_score_is_refused(wrong):
    with pytest.raises(InputError, match="total_without_pleura is"):
        ablated_totals(Row("a", "a", {"total_without_pleura": wrong}))


def test_two_masks_never_share_a_folder(tmp_path):
    (tmp_path / "mask.nii.gz").touch()
    lines = ["id\tsubject\tinfection\tannotation\tlobes"]
    lines += [f"{name}\t{name}" + "\tmask.nii.gz" * 3 for name in ("a", "a_annotations")]
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n")

    outcome = call("reproduce", "covid-severity", tmp_path / "manifest.tsv", "--out", tmp_path / "out")

    assert outcome.code == 2
    assert "the folder of a_annotations would hold two scans" in outcome.err


def test_scans_without_an_annotation_are_left_out_of_its_row_only(tmp_path):
    (tmp_path / "mask.nii.gz").touch()
    header, row = "id\tsubject\tinfection\tannotation\tlobes\n", "a\ta\tmask.nii.gz\tn/a\tmask.nii.gz\n"
    (tmp_path / "manifest.tsv").write_text(header + row)

    outcome = call("reproduce", "covid-severity", tmp_path / "manifest.tsv", "--out", tmp_path / "out")

    assert outcome.code == 2
    assert "no scan has a file in column 'annotation'" in outcome.err

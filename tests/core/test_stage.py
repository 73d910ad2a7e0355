"""The contract of a stage: what is skipped, refused, recorded and cleaned up, with stages made for the purpose."""

import json
from pathlib import Path

import pytest

from medtools.core.atomic import write_text
from medtools.core.errors import InputError, PartialError, RefusedError
from medtools.core.limits import Estimate
from medtools.core.params import Params
from medtools.core.stage import Job, Sample, Stage, execute, planned


class Model(Params):
    """Parameters of the stages below."""

    text: str = "x"
    folder: Path = Path("elsewhere")


def copy(job):
    """Copy every input, one sample each; a file that says `bad` fails after its first output."""

    def work(sample):
        job.calls.append(sample.id)
        first, second = (job.out / f"{sample.id}{part}" for part in "12")
        write_text(first, job.params.text)
        yield first
        if sample.inputs[0].read_text() == "bad":
            raise InputError(sample.inputs[0], "is bad")
        write_text(second, job.params.text)
        yield second

    job.for_each([Sample(p.name, (p,), job.out / f"{p.name}.json") for p in job.inputs], work, "copying")


def join(job):
    job.calls.append("join")
    path = job.out / "joined"
    write_text(path, job.params.text.join(p.read_text() for p in job.inputs))
    job.wrote(path)
    if "bad" in path.read_text():
        raise InputError(job.inputs[0], "is bad")


COHORT = Stage(name="copy", summary="", params=Model, run=copy, inputs="files", cohort=True)
WHOLE = Stage(name="join all", summary="", params=Model, run=join, inputs="files")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = tuple(tmp_path / name for name in "abc")
    for path in paths:
        path.write_text(path.name)
    return paths


def job(stage, files, **options):
    made = Job(stage=stage, inputs=files, out=Path("out"), params=Model(**options.pop("params", {})), **options)
    made.calls = []
    return made


def run(stage, files, **options):
    made = job(stage, files, **options)
    execute(stage, made)
    return made.calls


def test_a_whole_stage_runs_once(files):
    assert run(WHOLE, files) == ["join"]
    assert run(WHOLE, files) == []
    assert run(WHOLE, files, overwrite=True) == ["join"]
    files[0].write_text("changed")
    assert run(WHOLE, files) == ["join"]
    Path("out/joined").write_text("damaged")
    assert run(WHOLE, files) == ["join"]
    assert json.loads(Path("out/join.json").read_text())["outputs"][0]["path"] == "joined"


def test_a_whole_stage_refuses_other_parameters(files):
    run(WHOLE, files)
    with pytest.raises(RefusedError, match="text was 'x', now 'y'"):
        run(WHOLE, files, params={"text": "y"})
    with pytest.raises(RefusedError, match="seed was 0, now 1"):
        run(WHOLE, files, seed=1)
    assert Path("out/joined").read_text() == "axbxc"
    run(WHOLE, files, params={"text": "y"}, overwrite=True)
    assert Path("out/joined").read_text() == "aybyc"


def test_what_does_not_decide_the_result_does_not_matter(files):
    run(WHOLE, files)
    assert run(WHOLE, files, threads=7, device="cpu", max_memory=2**40) == []


def test_a_path_among_the_parameters_counts_as_seen_from_the_output(files, monkeypatch, tmp_path):
    run(WHOLE, files, params={"folder": Path("data")})
    monkeypatch.chdir("/")
    made = job(WHOLE, files, params={"folder": tmp_path / "data"})
    made.out = tmp_path / "out"
    execute(WHOLE, made)
    assert made.calls == []
    assert json.loads((tmp_path / "out" / "join.json").read_text())["params"]["folder"] == "../data"


def test_a_failing_whole_stage_leaves_neither_outputs_nor_record(files):
    run(WHOLE, files)
    files[0].write_text("bad")
    with pytest.raises(InputError):
        run(WHOLE, files)
    assert not list(Path("out").iterdir())


def test_a_cohort_redoes_only_what_changed(files):
    assert run(COHORT, files) == ["a", "b", "c"]
    assert run(COHORT, files) == []
    files[1].write_text("changed")
    assert run(COHORT, files) == ["b"]
    Path("out/c2").unlink()
    assert run(COHORT, files) == ["c"]
    assert run(COHORT, files, overwrite=True) == ["a", "b", "c"]


def test_a_sample_that_fails_half_way_leaves_nothing(files):
    run(COHORT, files)
    files[1].write_text("bad")
    with pytest.raises(PartialError, match=r"1 of 3 samples failed; out/failures\.tsv names each cause"):
        run(COHORT, files)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "a.json", "a1", "a2", "c.json", "c1", "c2", "copy.json", "failures.tsv",
    ]  # fmt: skip
    assert Path("out/failures.tsv").read_text().splitlines()[1].split("\t")[::2] == ["b", "copy"]


def test_the_record_of_a_cohort_goes_while_its_samples_change(files):
    run(COHORT, files)
    files[0].write_text("new")

    def stop(made):
        assert Path("out/copy.json").exists()

        def work(sample):
            assert not Path("out/copy.json").exists()
            raise KeyboardInterrupt
            yield

        made.for_each([Sample("a", (files[0],), made.out / "a.json")], work, "")

    with pytest.raises(KeyboardInterrupt):
        run(Stage(name="copy", summary="", params=Model, run=stop, cohort=True), files)
    assert not Path("out/copy.json").exists()
    assert run(COHORT, files) == ["a"]
    assert Path("out/copy.json").exists()


def test_a_cohort_of_failures_is_the_inputs_fault(files):
    for path in files:
        path.write_text("bad")
    with pytest.raises(InputError, match=r"all 3 samples failed, the first with: .*a: is bad; out/failures\.tsv names"):
        run(COHORT, files)
    assert len(Path("out/failures.tsv").read_text().splitlines()) == 4
    assert not Path("out/copy.json").exists()


def test_one_cause_for_everybody_is_said_once(files):
    def fail(made):
        def work(sample):
            raise InputError("--option", "is wrong")
            yield

        made.for_each([Sample(p.name, (p,), made.out / f"{p.name}.json") for p in files], work, "")

    with pytest.raises(InputError, match=r"^--option: is wrong$"):
        run(Stage(name="copy", summary="", params=Model, run=fail, cohort=True), files)


def test_samples_are_restricted_and_unknown_ones_refused(files):
    assert run(COHORT, files, only=("b",)) == ["b"]
    assert not Path("out/copy.json").exists()
    with pytest.raises(InputError, match="no sample 'z'"):
        run(COHORT, files, only=("b", "z"))


def test_tolerated_failures_end_well_and_are_noted(files):
    files[0].write_text("bad")
    assert run(COHORT, files, tolerate=True) == ["a", "b", "c"]
    assert json.loads(Path("out/a.json").read_text())["cause"].endswith("a: is bad")
    files[0].write_text("good")
    assert run(COHORT, files, tolerate=True) == ["a"]


def test_failures_of_two_stages_share_a_table(files):
    files[0].write_text("bad")
    other = Stage(name="other", summary="", params=Model, run=copy, cohort=True)
    for stage in (COHORT, other):
        with pytest.raises(PartialError):
            run(stage, files, overwrite=True)
    rows = [line.split("\t") for line in Path("out/failures.tsv").read_text().splitlines()[1:]]
    assert [(row[0], row[2]) for row in rows] == [("a", "copy"), ("a", "other")]
    files[0].write_text("good")
    run(COHORT, files, overwrite=True)
    assert [line.split("\t")[2] for line in Path("out/failures.tsv").read_text().splitlines()[1:]] == ["other"]


def test_what_needs_too_much_memory_is_refused_before_anything_is_made(files):
    stage = Stage(name="join", summary="", params=Model, run=join, estimate=lambda made: Estimate(2**30))
    with pytest.raises(RefusedError, match="1024 MiB"):
        run(stage, files, max_memory=2**20)
    assert not Path("out").exists()


def test_an_error_that_is_ours_is_not_taken_for_bad_input(files):
    def crash(made):
        made.for_each([Sample("a", (files[0],), made.out / "a.json")], lambda sample: [1 / 0], "")

    with pytest.raises(ZeroDivisionError):
        run(Stage(name="copy", summary="", params=Model, run=crash, cohort=True), files)


def test_a_plan_tells_the_state(files):
    assert planned(WHOLE, job(WHOLE, files)).endswith("state: to be run")
    run(WHOLE, files)
    assert planned(WHOLE, job(WHOLE, files)).endswith("state: made before with these parameters")
    changed = job(WHOLE, files, params={"text": "y"})
    assert planned(WHOLE, changed).endswith("state: made before with text was 'x', now 'y'")

"""The stages of covid-severity, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.covid_severity.params import DemoParams, InferParams, ReproduceParams, ScoreParams

_ROOM = "medtools.systems.covid_severity"

STAGES = {
    "demo": Stage(
        name="demo covid-severity",
        summary="Phantom chest CTs with ground glass of known extent, lobe masks and grades.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo covid-severity --out data/phantoms",
    ),
    "infer": Stage(
        name="infer covid-severity",
        summary="Chest CT to infection masks, every excluded region, CT severity scores (0-25) and pictures.\n\n"
        "Takes what `medtools preprocess ct` takes, or what it made. Needs a lobe mask per scan (--lobes), or "
        "lungmask's weight files.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        estimate=lazy(f"{_ROOM}.inference", "estimate"),
        inputs="Scans: files, a DICOM folder, a folder of either, or a manifest with a column `ct`.",
        cohort=True,
        folder="severity",
        example="medtools infer covid-severity data/phantoms/scans --lobes data/phantoms/lobes --out severity/",
    ),
    "score": Stage(
        name="score covid-severity",
        summary="Points, totals and classes of infection masks; agreement, coverage and fairness where graded.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        inputs="A manifest with columns `infection` and `lobes`, such as infer writes, or its folder.",
        cohort=True,
        folder="scores",
        example="medtools score covid-severity severity/ --grades data/phantoms/grades.tsv --out scores/",
    ),
    "reproduce": Stage(
        name="reproduce covid-severity",
        summary="The paper's tables 1 and 2 and figure 6: the method's masks and the data set's annotations.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.scoring", "reproduce"),
        inputs="A manifest with columns `infection`, `annotation` and `lobes`.",
        cohort=True,
        example="medtools reproduce covid-severity cohort/manifest.tsv --grades COVID_grade.csv --out tables/",
    ),
}

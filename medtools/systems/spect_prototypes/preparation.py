"""`medtools preprocess spect-prototypes`: of each study a crop of every tissue, cut out by its label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.seeds import generator
from medtools.core.stage import Job, Sample
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.guard import printable
from medtools.preprocess.spect.heart import HEART, read_heart
from medtools.preprocess.spect.studies import CARRIED, Study, find_studies
from medtools.systems.spect_prototypes.crops import Image, Mask, disguised, shifted, write_crops
from medtools.systems.spect_prototypes.params import PreprocessParams

COLUMNS = ("id", "subject", "label", "crops", "crop")


def run(job: Job) -> None:
    """Write the crops of each study and, last, the manifest."""
    tissues = tissues_of(job.params.tissues)
    studies = {study.id: study for study in find_studies(job.inputs)}
    samples = [Sample(s.id, s.files, job.out / "records" / f"{s.id}.json") for s in studies.values()]
    done = job.for_each(samples, lambda sample: _one(job, studies[sample.id], tissues), "cutting crops")
    if done and not job.only:
        _write_manifest(job, [studies[sample.id] for sample in done])


def tissues_of(names: Sequence[str]) -> dict[int, str]:
    """Read `value=name` pairs.

    Raises
    ------
    InputError
        A pair is none, a value is no whole number from 1 to 255, or a name or value comes twice.
    """
    found: dict[int, str] = {}
    for pair in names:
        value, _, name = pair.partition("=")
        if not value.strip().isdigit() or not 1 <= int(value) <= 255 or not name.strip():
            raise InputError("--tissues", f"{pair!r} is no value=name", "e.g. 1=ventricle,2=myocardium,3=liver")
        if int(value) in found or name.strip() in found.values():
            raise InputError("--tissues", f"{pair!r}: the value or the name comes twice")
        found[int(value)] = name.strip()
    if not set(HEART) & set(found):
        raise InputError("--tissues", "neither 1 nor 2, the values of the heart, has a name")
    return found


def cut(image: Image, mask: Mask, params: PreprocessParams, seed: int, *names: str) -> tuple[list[Image], list[Mask]]:
    """Return the crops of one tissue: image times mask, varied as the mode asks."""
    if params.mode == "plain":
        return [image * mask], [mask]
    found = []
    for copy in range(params.copies):
        rng = generator(seed, "crop", *names, copy)
        found.append(disguised(image, mask, rng) if params.mode == "hard" else shifted(image, mask, rng, params.shift))
    return [crop for crop, _ in found], [inside for _, inside in found]


def _one(job: Job, study: Study, tissues: Mapping[int, str]) -> Iterable[Path]:
    params: PreprocessParams = job.params
    if study.labels is None:
        fix = "put a *_dseg.nii.gz beside it, or fill the manifest's column labels"
        raise InputError(printable(study.image), "has no label map", fix)
    heart = read_heart(study, params.crop, tissues)
    images: list[Image] = []
    masks: list[Mask] = []
    rows = []
    for value, name in tissues.items():
        mask = np.asarray(heart.labels == value)
        if not mask.any():
            LOGGER.warning("%s: no %s in slice %d; left out", study.id, name, heart.slice)
            continue
        crops, insides = cut(heart.image, mask, params, job.seed, study.id, name)
        for copy in range(len(crops)):
            identifier = f"{study.id}_{name.replace(' ', '-').replace('/', '-')}"
            rows.append({"id": identifier if len(crops) == 1 else f"{identifier}_{copy + 1}", "label": name})
        images, masks = [*images, *crops], [*masks, *insides]
    yield write_crops(job.out / "crops" / f"{study.id}.npz", images, masks)
    numbered = [row | {"crop": number} for number, row in enumerate(rows)]
    yield write_tsv(job.out / "crops" / f"{study.id}.tsv", ("id", "label", "crop"), numbered)


def _write_manifest(job: Job, studies: Sequence[Study]) -> None:
    rows = []
    for study in studies:
        file = job.out / "crops" / f"{study.id}.npz"
        whose = {"subject": study.subject, "crops": file, **study.cells}
        rows += [row | whose for row in read_tsv(file.with_suffix(".tsv"))[1]]
    carried = [column for column in CARRIED if any(column in study.cells for study in studies)]
    write_manifest(job.out / "manifest.tsv", [*COLUMNS, *carried], rows)
    job.wrote(job.out / "manifest.tsv")

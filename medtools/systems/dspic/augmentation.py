"""`medtools preprocess dspic augment`: D_2 or D_3 of a data set, and the same within a training part."""

from __future__ import annotations

from pathlib import Path

from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.io import image_cohort
from medtools.io.images import write_image
from medtools.preprocess.spect.normalise import to_levels
from medtools.systems.dspic.data import GAN, MADE, Draw, Images, Scans, enlarge, gan_seed, geometry_draw, label_counts
from medtools.systems.dspic.data import read_scans as read_scans_of
from medtools.systems.dspic.params import AugmentParams, GeometryParams
from medtools.training.settings import FitSettings

PICTURE = "generated.png"
_PICTURED = 4


def run(job: Job) -> None:
    """Write every image of the enlarged set and its manifest."""
    params: AugmentParams = job.params
    scans = read_scans_of(job.inputs, (params.height, params.width), params.label)
    larger = enlarged(scans, params.mode, params, folder=job.out / "gan", seed=job.seed, device=job.device)
    rows = []
    for number, name in enumerate(larger.ids.tolist()):
        path = job.out / f"{name}.png"
        write_image(path, to_levels(larger.images[number]))
        job.wrote(path)
        rows.append(
            {
                "id": name, "subject": str(larger.subjects[number]), "image": path,
                params.label: str(larger.labels[number]), MADE: str(larger.made[number]) or None,
            }
        )  # fmt: skip
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", params.label, MADE], rows)
    job.wrote(job.out / "manifest.tsv", *gan_files(job.out / "gan"))
    LOGGER.info("%s", ", ".join(f"{name} {count}" for name, count in label_counts(larger.labels.tolist()).items()))


def reads(job: Job) -> list[Path]:
    """List what decides the images."""
    return image_cohort.reads(job.inputs)


def enlarged(
    scans: Scans, mode: str, params: GeometryParams, *, folder: Path, seed: int, device: str, overwrite: bool = False
) -> Scans:
    """Return the scans with the images that `mode` adds; each DCGAN is trained below `folder`, on these scans only."""
    if mode != GAN:
        return enlarge(scans, mode, geometry_draw(params.shifts, params.degrees, seed), seed)
    return enlarge(scans, mode, _gan_draw(params, folder, seed, device, overwrite), seed)


def _gan_draw(params: GeometryParams, folder: Path, seed: int, device: str, overwrite: bool) -> Draw:
    def drawn(sources: Images, label: str, count: int) -> Images:
        from medtools.systems.dspic.gan import draw, train_gan

        own = gan_seed(seed, label)
        settings = check(FitSettings, {"epochs": params.gan_epochs, "monitor": "discriminator"})
        gan = train_gan(sources, out=folder / label, settings=settings, seed=own, device=device, overwrite=overwrite)
        made = draw(gan, count, own)
        _write_picture(folder / label / PICTURE, label, sources, made)
        return made

    return drawn


def gan_files(folder: Path) -> list[Path]:
    """List what the training of DCGANs left below a folder; nothing where none was trained."""
    return sorted(path for name in ("model.ckpt", PICTURE) for path in folder.rglob(name))


def _write_picture(path: Path, label: str, sources: Images, made: Images) -> None:
    """Set drawn scans beside real ones: whether they look like any, only an eye can tell."""
    from medtools.preprocess.spect.figures import Shown, scans_figure

    real = [Shown(image, f"{label}\nreal") for image in sources[:_PICTURED]]
    drawn = [Shown(image, f"{label}\ndrawn") for image in made[:_PICTURED]]
    title = f"Scans of class {label}: real, and drawn by a DCGAN that learned from {len(sources)}"
    save_figure(scans_figure([*real, *drawn], title), path)

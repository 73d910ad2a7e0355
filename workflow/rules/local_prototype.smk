# local-prototype: volumes -> slices -> folds (parallel jobs) -> masks -> Dice, alignment and what decided.


rule organs_slices:
    input:
        manifest=manifest,
        files=all_files,
    output:
        manifest="results/{dataset}/slices/manifest.tsv",
        organs="results/{dataset}/slices/organs.tsv",
        record="results/{dataset}/slices/slices.json",
    log:
        "logs/{dataset}/slices.log",
    benchmark:
        "logs/{dataset}/slices.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        options=options("slices"),
        version=__version__,
    shell:
        "medtools preprocess local-prototype slices {input.manifest:q}"
        " --out results/{wildcards.dataset}/slices {params.options} 2> {log}"


rule organs_train_fold:
    input:
        manifest="results/{dataset}/slices/manifest.tsv",
        organs="results/{dataset}/slices/organs.tsv",
    output:
        model="results/{dataset}/organs/train/folds/{organ}/model.ckpt",
        record="results/{dataset}/organs/train/folds/{organ}/train.json",
        curves="results/{dataset}/organs/train/folds/{organ}/curves.png",
    log:
        "logs/{dataset}/organs/train/{organ}.log",
    benchmark:
        "logs/{dataset}/organs/train/{organ}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(12000),
        runtime=minutes(1440),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train local-prototype {input.manifest} --sample {wildcards.organ} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/organs/train {params.options} 2> {log}"


rule organs_infer:
    input:
        manifest="results/{dataset}/slices/manifest.tsv",
        folds=organ_folds,
    output:
        record="results/{dataset}/organs/segmentations/infer.json",
        predictions="results/{dataset}/organs/segmentations/predictions.tsv",
    log:
        "logs/{dataset}/organs/infer.log",
    benchmark:
        "logs/{dataset}/organs/infer.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(6000),
        runtime=minutes(480),
    params:
        model=organ_model,
        options=options("infer"),
        version=__version__,
    shell:
        "medtools infer local-prototype {input.manifest} {params.model}"
        " --out results/{wildcards.dataset}/organs/segmentations {params.options} 2> {log}"


rule organs_copied:
    input:
        manifest="results/{dataset}/slices/manifest.tsv",
    output:
        record="results/{dataset}/organs/copied/infer.json",
    log:
        "logs/{dataset}/organs/copied.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    params:
        organs=organ_words,
        version=__version__,
    shell:
        "medtools infer local-prototype {input.manifest} --method copy-mask {params.organs}"
        " --out results/{wildcards.dataset}/organs/copied 2> {log}"


rule organs_score:
    input:
        manifest="results/{dataset}/slices/manifest.tsv",
        predictions="results/{dataset}/organs/segmentations/infer.json",
        copied="results/{dataset}/organs/copied/infer.json",
    output:
        record="results/{dataset}/organs/scores/score.json",
        scores=report(
            "results/{dataset}/organs/scores/scores.tsv",
            caption="../report/organs.rst",
            category="{dataset}",
            subcategory="1 Segmentation",
            labels={"table": "Dice"},
        ),
        difference=report(
            "results/{dataset}/organs/scores/difference.tsv",
            caption="../report/organs.rst",
            category="{dataset}",
            subcategory="1 Segmentation",
            labels={"table": "against copying the support's mask"},
        ),
        overlays=report(
            "results/{dataset}/organs/scores/overlays.png",
            caption="../report/organs.rst",
            category="{dataset}",
            subcategory="1 Segmentation",
            labels={"figure": "segmentations"},
        ),
        dice=report(
            "results/{dataset}/organs/scores/dice.png",
            caption="../report/organs.rst",
            category="{dataset}",
            subcategory="1 Segmentation",
            labels={"figure": "Dice by organ"},
        ),
    log:
        "logs/{dataset}/organs/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score local-prototype {input.manifest} --predictions results/{wildcards.dataset}/organs/segmentations"
        " --against results/{wildcards.dataset}/organs/copied"
        " --out results/{wildcards.dataset}/organs/scores {params.options} 2> {log}"


rule organs_explain:
    input:
        manifest="results/{dataset}/slices/manifest.tsv",
        folds=organ_folds,
    output:
        record="results/{dataset}/organs/explain/explain.json",
        maps=report(
            "results/{dataset}/organs/explain/maps.png",
            caption="../report/organs_maps.rst",
            category="{dataset}",
            subcategory="2 What decided",
            labels={"figure": "cells and similarities"},
        ),
    log:
        "logs/{dataset}/organs/explain.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        network=organ_trunk,
        options=options("explain"),
        version=__version__,
    shell:
        "medtools explain local-prototype {input.manifest} {params.network}"
        " --out results/{wildcards.dataset}/organs/explain {params.options} 2> {log}"

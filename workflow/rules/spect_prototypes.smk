# spect-prototypes: slices with label maps -> tissue crops -> episodes -> scores, pictures, and the table if asked for.


rule prototypes_crops:
    input:
        manifest=manifest,
        files=all_files,
    output:
        manifest="results/{dataset}/crops/manifest.tsv",
        record="results/{dataset}/crops/crops.json",
    log:
        "logs/{dataset}/crops.log",
    benchmark:
        "logs/{dataset}/crops.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=options("crops"),
        version=__version__,
    shell:
        "medtools preprocess spect-prototypes {input.manifest:q}"
        " --out results/{wildcards.dataset}/crops {params.options} 2> {log}"


rule prototypes_train:
    input:
        manifest="results/{dataset}/crops/manifest.tsv",
    output:
        record="results/{dataset}/prototypes/train/train.json",
        params="results/{dataset}/prototypes/train/params.yaml",
        fold="results/{dataset}/prototypes/train/folds/r1f1/predictions.tsv",
    log:
        "logs/{dataset}/prototypes/train.log",
    benchmark:
        "logs/{dataset}/prototypes/train.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(3000),
        runtime=minutes(240),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train spect-prototypes {input.manifest} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/prototypes/train {params.options} 2> {log}"


rule prototypes_score:
    input:
        train="results/{dataset}/prototypes/train/train.json",
    output:
        record="results/{dataset}/prototypes/scores/score.json",
        scores=report(
            "results/{dataset}/prototypes/scores/scores.tsv",
            caption="../report/prototypes.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"table": "scores"},
        ),
        confusion=report(
            "results/{dataset}/prototypes/scores/confusion.png",
            caption="../report/prototypes.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "confusion"},
        ),
        roc=report(
            "results/{dataset}/prototypes/scores/roc.png",
            caption="../report/prototypes.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "ROC"},
        ),
    log:
        "logs/{dataset}/prototypes/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score spect-prototypes results/{wildcards.dataset}/prototypes/train"
        " --out results/{wildcards.dataset}/prototypes/scores {params.options} 2> {log}"


rule prototypes_explain:
    input:
        manifest="results/{dataset}/crops/manifest.tsv",
        train="results/{dataset}/prototypes/train/train.json",
    output:
        record="results/{dataset}/prototypes/explain/explain.json",
        episode=report(
            "results/{dataset}/prototypes/explain/episode.png",
            caption="../report/prototypes_episode.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "an episode"},
        ),
        embedding=report(
            "results/{dataset}/prototypes/explain/embedding.png",
            caption="../report/prototypes_episode.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "embeddings and prototypes"},
        ),
    log:
        "logs/{dataset}/prototypes/explain.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        options=options("explain"),
        version=__version__,
    shell:
        "medtools explain spect-prototypes {input.manifest} --model results/{wildcards.dataset}/prototypes/train"
        " --out results/{wildcards.dataset}/prototypes/explain {params.options} 2> {log}"


rule prototypes_table:
    input:
        manifest="results/{dataset}/crops/manifest.tsv",
    output:
        record="results/{dataset}/prototypes/table/reproduce.json",
        table=report(
            "results/{dataset}/prototypes/table/table.tsv",
            caption="../report/prototypes_table.rst",
            category="{dataset}",
            subcategory="3 What was compared",
            labels={"table": "start, distance, shots, episodes"},
        ),
        figure=report(
            "results/{dataset}/prototypes/table/table.png",
            caption="../report/prototypes_table.rst",
            category="{dataset}",
            subcategory="3 What was compared",
            labels={"figure": "accuracy by training episodes"},
        ),
    log:
        "logs/{dataset}/prototypes/table.log",
    benchmark:
        "logs/{dataset}/prototypes/table.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(3000),
        runtime=minutes(720),
    params:
        device=device,
        options=options("reproduce"),
        version=__version__,
    shell:
        "medtools reproduce spect-prototypes {input.manifest} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/prototypes/table {params.options} 2> {log}"

# asd-transformer: series or matrices -> connectivity -> folds (parallel jobs) -> scores and explanations.


rule asd_connectivity:
    input:
        manifest=manifest,
        files=all_files,
    output:
        manifest="results/{dataset}/connectivity/manifest.tsv",
        communities="results/{dataset}/connectivity/communities.tsv",
        record="results/{dataset}/connectivity/connectivity.json",
    log:
        "logs/{dataset}/connectivity.log",
    benchmark:
        "logs/{dataset}/connectivity.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=options("connectivity"),
        version=__version__,
    shell:
        "medtools preprocess asd-transformer connectivity {input.manifest} --threads {threads}"
        " --out results/{wildcards.dataset}/connectivity {params.options} 2> {log}"


rule asd_train_fold:
    input:
        manifest="results/{dataset}/connectivity/manifest.tsv",
        communities="results/{dataset}/connectivity/communities.tsv",
    output:
        "results/{dataset}/asd/train/folds/{fold}/train.json",
        "results/{dataset}/asd/train/folds/{fold}/predictions.tsv",
    log:
        "logs/{dataset}/asd/train/{fold}.log",
    benchmark:
        "logs/{dataset}/asd/train/{fold}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(6000),
        runtime=minutes(480),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train asd-transformer {input.manifest} --sample {wildcards.fold} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/asd/train {params.options} 2> {log}"


rule asd_score:
    input:
        folds=asd_folds,
    output:
        record="results/{dataset}/asd/scores/score.json",
        scores=report(
            "results/{dataset}/asd/scores/scores.tsv",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"table": "scores"},
        ),
        confusion=report(
            "results/{dataset}/asd/scores/confusion.png",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "confusion"},
        ),
        roc=report(
            "results/{dataset}/asd/scores/roc.png",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "ROC"},
        ),
    log:
        "logs/{dataset}/asd/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score asd-transformer results/{wildcards.dataset}/asd/train"
        " --out results/{wildcards.dataset}/asd/scores {params.options} 2> {log}"


rule asd_explain:
    input:
        manifest="results/{dataset}/connectivity/manifest.tsv",
        fold="results/{dataset}/asd/train/folds/r1f1/train.json",
    output:
        record="results/{dataset}/asd/explain/explain.json",
        nodes=report(
            "results/{dataset}/asd/explain/nodes.png",
            caption="../report/asd_nodes.rst",
            category="{dataset}",
            subcategory="2 Nodes that differ",
            labels={"figure": "local efficiency"},
        ),
    log:
        "logs/{dataset}/asd/explain.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        options=options("explain"),
        version=__version__,
    shell:
        "medtools explain asd-transformer {input.manifest} --model results/{wildcards.dataset}/asd/train"
        " --out results/{wildcards.dataset}/asd/explain {params.options} 2> {log}"

# dspic: normalised images -> folds (parallel jobs) -> scores, explanations.


rule dspic_train:
    input:
        manifest=manifest,
    output:
        "results/{dataset}/dspic/train/folds/{fold}/train.json",
        "results/{dataset}/dspic/train/folds/{fold}/predictions.tsv",
    log:
        "logs/{dataset}/dspic/train/{fold}.log",
    benchmark:
        "logs/{dataset}/dspic/train/{fold}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(16000),
        runtime=minutes(480),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train dspic {input.manifest:q} --sample {wildcards.fold} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/dspic/train {params.options} 2> {log}"


rule dspic_score:
    input:
        folds=dspic_folds,
    output:
        record="results/{dataset}/dspic/scores/score.json",
        scores=report(
            "results/{dataset}/dspic/scores/scores.tsv",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"table": "scores"},
        ),
        confusion=report(
            "results/{dataset}/dspic/scores/confusion.png",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "confusion"},
        ),
        roc=report(
            "results/{dataset}/dspic/scores/roc.png",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "ROC"},
        ),
    log:
        "logs/{dataset}/dspic/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score dspic results/{wildcards.dataset}/dspic/train"
        " --out results/{wildcards.dataset}/dspic/scores {params.options} 2> {log}"


rule dspic_explain:
    input:
        manifest=manifest,
        fold="results/{dataset}/dspic/train/folds/r1f1/train.json",
    output:
        record="results/{dataset}/dspic/explain/explain.json",
        gradcam=report(
            "results/{dataset}/dspic/explain/gradcam.png",
            caption="../report/gradcam.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "Grad-CAM"},
        ),
        embedding=report(
            "results/{dataset}/dspic/explain/embedding.png",
            caption="../report/gradcam.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "features"},
        ),
    log:
        "logs/{dataset}/dspic/explain.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        options=options("explain"),
        version=__version__,
    shell:
        "medtools explain dspic {input.manifest:q} --model results/{wildcards.dataset}/dspic/train"
        " --out results/{wildcards.dataset}/dspic/explain {params.options} 2> {log}"

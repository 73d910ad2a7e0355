# ad-lite-net: manifest of images -> folds (parallel jobs) and the final model -> scores, predictions, explanations.


rule adlite_train:
    input:
        manifest=manifest,
        files=all_files,
    output:
        "results/{dataset}/adlite/train/folds/{fold}/train.json",
        "results/{dataset}/adlite/train/folds/{fold}/predictions.tsv",
    log:
        "logs/{dataset}/adlite/train/{fold}.log",
    benchmark:
        "logs/{dataset}/adlite/train/{fold}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(8000),
        runtime=minutes(480),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train ad-lite-net {input.manifest:q} --sample {wildcards.fold} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/adlite/train {params.options} 2> {log}"


rule adlite_score:
    input:
        folds=adlite_folds,
    output:
        record="results/{dataset}/adlite/scores/score.json",
        scores=report(
            "results/{dataset}/adlite/scores/scores.tsv",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"table": "scores"},
        ),
        confusion=report(
            "results/{dataset}/adlite/scores/confusion.png",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "confusion"},
        ),
        roc=report(
            "results/{dataset}/adlite/scores/roc.png",
            caption="../report/image_scores.rst",
            category="{dataset}",
            subcategory="1 Classification",
            labels={"figure": "ROC"},
        ),
    log:
        "logs/{dataset}/adlite/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score ad-lite-net results/{wildcards.dataset}/adlite/train"
        " --out results/{wildcards.dataset}/adlite/scores {params.options} 2> {log}"


rule adlite_explain:
    input:
        manifest=manifest,
        fold="results/{dataset}/adlite/train/folds/r1f1/train.json",
    output:
        record="results/{dataset}/adlite/explain/explain.json",
        gradcam=report(
            "results/{dataset}/adlite/explain/gradcam.png",
            caption="../report/gradcam.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "Grad-CAM"},
        ),
        embedding=report(
            "results/{dataset}/adlite/explain/embedding.png",
            caption="../report/gradcam.rst",
            category="{dataset}",
            subcategory="2 What it looks at",
            labels={"figure": "features"},
        ),
    log:
        "logs/{dataset}/adlite/explain.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        options=options("explain"),
        version=__version__,
    shell:
        "medtools explain ad-lite-net {input.manifest:q} --model results/{wildcards.dataset}/adlite/train"
        " --out results/{wildcards.dataset}/adlite/explain {params.options} 2> {log}"

# spect-prnet: slices -> a network trained on one of them -> landmarks and slices rebuilt -> scores.


rule prnet_train:
    input:
        manifest=manifest,
        files=all_files,
    output:
        model="results/{dataset}/prnet/train/model.ckpt",
        metrics="results/{dataset}/prnet/train/metrics.csv",
        record="results/{dataset}/prnet/train/train.json",
    log:
        "logs/{dataset}/prnet/train.log",
    benchmark:
        "logs/{dataset}/prnet/train.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(3000),
        runtime=minutes(120),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train spect-prnet {input.manifest:q} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/prnet/train {params.options} 2> {log}"


rule prnet_locate:
    input:
        manifest=manifest,
        files=all_files,
        model="results/{dataset}/prnet/train/model.ckpt",
    output:
        record="results/{dataset}/prnet/landmarks/locate.json",
        landmarks="results/{dataset}/prnet/landmarks/landmarks.tsv",
        picture=report(
            "results/{dataset}/prnet/landmarks/landmarks.png",
            caption="../report/prnet_landmarks.rst",
            category="{dataset}",
            subcategory="1 Landmarks",
            labels={"figure": "found and marked"},
        ),
    log:
        "logs/{dataset}/prnet/locate.log",
    benchmark:
        "logs/{dataset}/prnet/locate.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        options=options("locate"),
        version=__version__,
    shell:
        "medtools infer spect-prnet locate {input.manifest:q} --model results/{wildcards.dataset}/prnet/train"
        " --out results/{wildcards.dataset}/prnet/landmarks {params.options} 2> {log}"


rule prnet_reconstruct:
    input:
        manifest=manifest,
        files=all_files,
        model="results/{dataset}/prnet/train/model.ckpt",
    output:
        record="results/{dataset}/prnet/reconstruction/reconstruct.json",
        picture=report(
            "results/{dataset}/prnet/reconstruction/reconstruction.png",
            caption="../report/prnet_reconstruction.rst",
            category="{dataset}",
            subcategory="2 Reconstruction",
            labels={"figure": "slices rebuilt"},
        ),
    log:
        "logs/{dataset}/prnet/reconstruct.log",
    benchmark:
        "logs/{dataset}/prnet/reconstruct.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        options=options("reconstruct"),
        version=__version__,
    shell:
        "medtools infer spect-prnet reconstruct {input.manifest:q} --model results/{wildcards.dataset}/prnet/train"
        " --out results/{wildcards.dataset}/prnet/reconstruction {params.options} 2> {log}"


rule prnet_score:
    input:
        manifest=manifest,
        files=all_files,
        model="results/{dataset}/prnet/train/model.ckpt",
        metrics="results/{dataset}/prnet/train/metrics.csv",
        landmarks="results/{dataset}/prnet/landmarks/landmarks.tsv",
    output:
        record="results/{dataset}/prnet/scores/score.json",
        scores=report(
            "results/{dataset}/prnet/scores/scores.tsv",
            caption="../report/prnet_scores.rst",
            category="{dataset}",
            subcategory="3 Scores",
            labels={"table": "scores"},
        ),
        offsets=report(
            "results/{dataset}/prnet/scores/offsets.png",
            caption="../report/prnet_scores.rst",
            category="{dataset}",
            subcategory="3 Scores",
            labels={"figure": "offsets"},
        ),
        losses=report(
            "results/{dataset}/prnet/scores/losses.png",
            caption="../report/prnet_scores.rst",
            category="{dataset}",
            subcategory="3 Scores",
            labels={"figure": "losses"},
        ),
    log:
        "logs/{dataset}/prnet/score.log",
    benchmark:
        "logs/{dataset}/prnet/score.benchmark.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score spect-prnet {input.manifest:q} --model results/{wildcards.dataset}/prnet/train"
        " --landmarks results/{wildcards.dataset}/prnet/landmarks"
        " --out results/{wildcards.dataset}/prnet/scores {params.options} 2> {log}"

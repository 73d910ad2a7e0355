# drivpocket: structures -> pockets and pictures (batches of structures) -> tables -> agreement with known sites.
# Where params has the sections rank or segment, those networks are trained first, on the data set's own candidates.


rule pocket_candidates:
    input:
        manifest=manifest,
        files=batch_files,
    output:
        touch("results/{dataset}/batches/prepared/{batch}.done"),
    log:
        "logs/{dataset}/prepared/{batch}.log",
    benchmark:
        "logs/{dataset}/prepared/{batch}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        samples=batch_samples,
        options=structure_words,
        version=__version__,
    shell:
        "medtools preprocess protein {input.manifest:q} {params.samples} --tolerate --threads {threads}"
        " --out results/{wildcards.dataset}/prepared {params.options} 2> {log}"


rule pocket_cohort:
    input:
        manifest=manifest,
        batches=pocket_batches("prepared"),
    output:
        record="results/{dataset}/prepared/preprocess.json",
        manifest="results/{dataset}/prepared/manifest.tsv",
        quality=report(
            "results/{dataset}/prepared/qc.tsv",
            caption="../report/pockets_prepared.rst",
            category="{dataset}",
            subcategory="0 Structures",
            labels={"table": "what was left out"},
        ),
    log:
        "logs/{dataset}/pocket_cohort.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=structure_words,
        version=__version__,
    shell:
        "medtools preprocess protein {input.manifest:q} --tolerate"
        " --out results/{wildcards.dataset}/prepared {params.options} 2> {log}"


rule pocket_ranker:
    input:
        "results/{dataset}/prepared/manifest.tsv",
    output:
        model="results/{dataset}/rank/model.ckpt",
        curves=report(
            "results/{dataset}/rank/curves.png",
            caption="../report/pockets_training.rst",
            category="{dataset}",
            subcategory="3 Training",
            labels={"figure": "ranking"},
        ),
    log:
        "logs/{dataset}/rank.log",
    benchmark:
        "logs/{dataset}/rank.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(4000),
        runtime=minutes(1440),
    params:
        device=device,
        options=options("rank"),
        version=__version__,
    shell:
        "medtools train drivpocket rank {input} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/rank {params.options} 2> {log}"


rule pocket_segmenter:
    input:
        "results/{dataset}/prepared/manifest.tsv",
    output:
        model="results/{dataset}/segment/model.ckpt",
        curves=report(
            "results/{dataset}/segment/curves.png",
            caption="../report/pockets_training.rst",
            category="{dataset}",
            subcategory="3 Training",
            labels={"figure": "shapes"},
        ),
    log:
        "logs/{dataset}/segment.log",
    benchmark:
        "logs/{dataset}/segment.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(12000),
        runtime=minutes(2880),
    params:
        device=device,
        options=options("segment"),
        version=__version__,
    shell:
        "medtools train drivpocket segment {input} --threads {threads} {params.device}"
        " --out results/{wildcards.dataset}/segment {params.options} 2> {log}"


rule pockets:
    input:
        source=pocket_source,
        files=batch_files,
        models=pocket_models,
    output:
        touch("results/{dataset}/batches/pockets/{batch}.done"),
    log:
        "logs/{dataset}/pockets/{batch}.log",
    benchmark:
        "logs/{dataset}/pockets/{batch}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        samples=batch_samples,
        models=pocket_words,
        options=options("infer"),
        version=__version__,
    shell:
        "medtools infer drivpocket {input.source:q} {params.samples} {params.models} --tolerate --threads {threads}"
        " --out results/{wildcards.dataset}/pockets {params.options} 2> {log}"


rule pocket_tables:
    input:
        source=pocket_source,
        models=pocket_models,
        batches=pocket_batches("pockets"),
    output:
        record="results/{dataset}/pockets/infer.json",
        manifest="results/{dataset}/pockets/manifest.tsv",
        predictions=report(
            "results/{dataset}/pockets/predictions.tsv",
            caption="../report/pockets.rst",
            category="{dataset}",
            subcategory="1 Pockets",
            labels={"table": "best pocket per structure"},
        ),
        overview=report(
            "results/{dataset}/pockets/overview.png",
            caption="../report/pockets.rst",
            category="{dataset}",
            subcategory="1 Pockets",
            labels={"figure": "pictures"},
        ),
    log:
        "logs/{dataset}/pocket_tables.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        models=pocket_words,
        options=options("infer"),
        version=__version__,
    shell:
        "medtools infer drivpocket {input.source:q} {params.models} --tolerate"
        " --out results/{wildcards.dataset}/pockets {params.options} 2> {log}"


rule pocket_scores:
    input:
        manifest="results/{dataset}/pockets/manifest.tsv",
    output:
        record="results/{dataset}/pocket_scores/score.json",
        scores=report(
            "results/{dataset}/pocket_scores/scores.tsv",
            caption="../report/pockets_scores.rst",
            category="{dataset}",
            subcategory="2 Agreement with known sites",
            labels={"table": "success rates"},
        ),
        success=report(
            "results/{dataset}/pocket_scores/success.png",
            caption="../report/pockets_scores.rst",
            category="{dataset}",
            subcategory="2 Agreement with known sites",
            labels={"figure": "sites found by distance"},
        ),
    log:
        "logs/{dataset}/pocket_scores.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score drivpocket {input.manifest:q}"
        " --out results/{wildcards.dataset}/pocket_scores {params.options} 2> {log}"

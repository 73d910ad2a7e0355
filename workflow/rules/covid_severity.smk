# covid-severity: scans -> masks, scores and pictures (batches of scans) -> tables -> agreement with grades.


rule severity:
    input:
        manifest=manifest,
        files=batch_files,
    output:
        touch("results/{dataset}/batches/severity/{batch}.done"),
    log:
        "logs/{dataset}/severity/{batch}.log",
    benchmark:
        "logs/{dataset}/severity/{batch}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(2500),
        runtime=minutes(120),
    params:
        samples=batch_samples,
        options=options("infer"),
        version=__version__,
    shell:
        "medtools infer covid-severity {input.manifest:q} {params.samples} --tolerate --threads {threads}"
        " --out results/{wildcards.dataset}/severity {params.options} 2> {log}"


rule severity_tables:
    input:
        manifest=manifest,
        batches=severity_batches,
    output:
        record="results/{dataset}/severity/infer.json",
        manifest="results/{dataset}/severity/manifest.tsv",
        predictions=report(
            "results/{dataset}/severity/predictions.tsv",
            caption="../report/severity.rst",
            category="{dataset}",
            subcategory="1 CT severity scores",
            labels={"table": "scores per scan"},
        ),
        chart=report(
            "results/{dataset}/severity/involvement.png",
            caption="../report/severity.rst",
            category="{dataset}",
            subcategory="1 CT severity scores",
            labels={"figure": "involvement per lobe"},
        ),
    log:
        "logs/{dataset}/severity_tables.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2500),
        runtime=minutes(60),
    params:
        options=options("infer"),
        version=__version__,
    shell:
        "medtools infer covid-severity {input.manifest:q} --tolerate"
        " --out results/{wildcards.dataset}/severity {params.options} 2> {log}"


rule severity_agreement:
    input:
        manifest="results/{dataset}/severity/manifest.tsv",
    output:
        record="results/{dataset}/severity_scores/score.json",
        scores=report(
            "results/{dataset}/severity_scores/scores.tsv",
            caption="../report/severity_agreement.rst",
            category="{dataset}",
            subcategory="2 Agreement with grades",
            labels={"table": "agreement"},
        ),
        coverage=report(
            "results/{dataset}/severity_scores/coverage.png",
            caption="../report/severity_agreement.rst",
            category="{dataset}",
            subcategory="2 Agreement with grades",
            labels={"figure": "coverage"},
        ),
    log:
        "logs/{dataset}/severity_agreement.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score covid-severity {input.manifest} --tolerate"
        " --out results/{wildcards.dataset}/severity_scores {params.options} 2> {log}"

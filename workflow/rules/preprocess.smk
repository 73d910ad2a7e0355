# Images from the scanner: runs or pictures -> series or images (batches of them) -> manifest of the cohort.


rule preprocess:
    input:
        source=given,
        files=raw_files,
    output:
        touch("results/{dataset}/batches/preprocess/{batch}.done"),
    log:
        "logs/{dataset}/preprocess/{batch}.log",
    benchmark:
        "logs/{dataset}/preprocess/{batch}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(240),
    params:
        modality=modality,
        samples=batch_samples,
        options=options("preprocess"),
        version=__version__,
    shell:
        "medtools preprocess {params.modality} {input.source:q} {params.samples} --tolerate --threads {threads}"
        " --out results/{wildcards.dataset}/preprocess {params.options} 2> {log}"


rule fmri_cohort:
    input:
        source=given,
        batches=raw_batches,
    output:
        record="results/{dataset}/preprocess/preprocess.json",
        manifest="results/{dataset}/preprocess/manifest.tsv",
        quality=report(
            "results/{dataset}/preprocess/qc.tsv",
            caption="../report/fmri.rst",
            category="{dataset}",
            subcategory="0 Quality of the runs",
            labels={"table": "quality per run"},
        ),
        figure=report(
            "results/{dataset}/preprocess/qc.png",
            caption="../report/fmri.rst",
            category="{dataset}",
            subcategory="0 Quality of the runs",
            labels={"figure": "all runs"},
        ),
    log:
        "logs/{dataset}/fmri_cohort.log",
    wildcard_constraints:
        dataset=raw_data_sets("fmri"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        options=options("preprocess"),
        version=__version__,
    shell:
        "medtools preprocess fmri {input.source:q} --tolerate"
        " --out results/{wildcards.dataset}/preprocess {params.options} 2> {log}"


rule images_cohort:
    input:
        source=given,
        batches=raw_batches,
    output:
        record="results/{dataset}/preprocess/preprocess.json",
        manifest="results/{dataset}/preprocess/manifest.tsv",
    log:
        "logs/{dataset}/preprocess.log",
    wildcard_constraints:
        dataset=raw_data_sets("images", "spect"),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        modality=modality,
        options=options("preprocess"),
        version=__version__,
    shell:
        "medtools preprocess {params.modality} {input.source:q} --tolerate"
        " --out results/{wildcards.dataset}/preprocess {params.options} 2> {log}"

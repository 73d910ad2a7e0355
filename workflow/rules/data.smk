# Data that the workflow makes or fetches itself.


rule demo:
    output:
        manifest="results/{dataset}/data/manifest.tsv",
        record="results/{dataset}/data/demo.json",
    log:
        "logs/{dataset}/demo.log",
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        source=demo_source,
        options=options("demo"),
        version=__version__,
    shell:
        "medtools demo {params.source} --threads {threads}"
        " --out results/{wildcards.dataset}/data {params.options} 2> {log}"

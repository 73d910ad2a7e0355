# What was done, for the reader of a paper and for archives: methods, versions, citations, RO-Crate.


rule about:
    input:
        own_targets,
    output:
        methods=report(
            "results/{dataset}/methods.html",
            caption="../report/methods.rst",
            category="{dataset}",
            subcategory="9 Methods and citations",
            labels={"page": "methods, parameters, versions, citations"},
        ),
        crate="results/{dataset}/ro-crate-metadata.json",
    log:
        "logs/{dataset}/about.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        version=__version__,
    shell:
        "medtools provenance results/{wildcards.dataset} --methods {output.methods} --ro-crate 2> {log}"

# mci-homology: series -> diagrams and PR (batches of subjects) -> PS (per network) -> figures.


rule homology:
    input:
        manifest=manifest,
    output:
        touch("results/{dataset}/homology/batches/{batch}.done"),
    log:
        "logs/{dataset}/homology/{batch}.log",
    benchmark:
        "logs/{dataset}/homology/{batch}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=60,
    params:
        samples=batch_samples,
        options=options("homology"),
        version=__version__,
    shell:
        "medtools homology {input.manifest} {params.samples} --tolerate --threads {threads}"
        " --out results/{wildcards.dataset}/homology {params.options} 2> {log}"


rule ps:
    input:
        manifest=manifest,
        batches=all_batches,
    output:
        record="results/{dataset}/homology/PS/{network}/ps.json",
        subjects=report(
            "results/{dataset}/homology/PS/{network}/subjects.tsv",
            caption="../report/subjects.rst",
            category="{dataset}",
            subcategory="Cohort",
            labels={"table": "subjects", "network": "{network}"},
        ),
    log:
        "logs/{dataset}/ps/{network}.log",
    benchmark:
        "logs/{dataset}/ps/{network}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=240,
    params:
        options=options("ps"),
        version=__version__,
    shell:
        "medtools homology ps {input.manifest} --sample '{wildcards.network}' --threads {threads}"
        " --out results/{wildcards.dataset}/homology {params.options} 2> {log}"


rule figures:
    input:
        manifest=manifest,
        ps=all_networks,
    output:
        record="results/{dataset}/figures/plot.json",
        subjects=report(
            directory("results/{dataset}/figures/subjects"),
            patterns=["{subject}_{roi}.png"],
            caption="../report/overview.rst",
            category="{dataset}",
            subcategory="1 From signal to topology",
            labels={"subject": "{subject}", "ROI": "{roi}"},
        ),
        betti=report(
            directory("results/{dataset}/figures/betti"),
            patterns=["{network}.png"],
            caption="../report/betti.rst",
            category="{dataset}",
            subcategory="2 Betti curves",
            labels={"network": "{network}"},
        ),
        pr=report(
            directory("results/{dataset}/figures/PR"),
            patterns=["{subject}_{network}_H{dimension}.png"],
            caption="../report/pr.rst",
            category="{dataset}",
            subcategory="3 Regions within a subject (PR)",
            labels={
                "subject": "{subject}",
                "network": "{network}",
                "dimension": "H{dimension}",
            },
        ),
        ps=report(
            directory("results/{dataset}/figures/PS"),
            patterns=["{network}_H{dimension}.png"],
            caption="../report/ps.rst",
            category="{dataset}",
            subcategory="4 Subjects for a region (PS)",
            labels={"network": "{network}", "dimension": "H{dimension}"},
        ),
    log:
        "logs/{dataset}/figures.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=60,
    params:
        options=options("plot"),
        version=__version__,
    shell:
        "medtools homology plot {input.manifest} --homology results/{wildcards.dataset}/homology"
        " --out results/{wildcards.dataset}/figures {params.options} 2> {log}"

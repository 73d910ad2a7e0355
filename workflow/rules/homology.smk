# mci-homology: series -> diagrams and PR (batches of subjects) -> PS (per network) -> figures.


rule homology:
    input:
        manifest=manifest,
        files=batch_files,
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
        runtime=minutes(60),
    params:
        samples=batch_samples,
        options=options("homology"),
        version=__version__,
    shell:
        "medtools homology {input.manifest:q} {params.samples} --tolerate --threads {threads}"
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
        runtime=minutes(240),
    params:
        network=network_words,
        options=options("ps"),
        version=__version__,
    shell:
        "medtools homology ps {input.manifest:q} {params.network} --threads {threads}"
        " --out results/{wildcards.dataset}/homology {params.options} 2> {log}"


rule figures:
    input:
        manifest=manifest,
        ps=all_networks,
    output:
        record="results/{dataset}/figures/plot.json",
        subjects=report(
            directory("results/{dataset}/figures/subjects"),
            patterns=["{subject}/{roi}.png"],
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
            patterns=["{subject}/{network}_H{dimension}.png"],
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
        runtime=minutes(60),
    params:
        options=options("plot"),
        version=__version__,
    shell:
        "medtools homology plot {input.manifest:q} --homology results/{wildcards.dataset}/homology"
        " --out results/{wildcards.dataset}/figures {params.options} 2> {log}"


rule stats:
    input:
        manifest=manifest,
        batches=all_batches,
    output:
        record="results/{dataset}/stats/stats.json",
        summary=report(
            "results/{dataset}/stats/summary.tsv",
            caption="../report/stats.rst",
            category="{dataset}",
            subcategory="5 Group differences",
            labels={"table": "significant pairs"},
        ),
        figures=report(
            directory("results/{dataset}/stats/figures"),
            patterns=["{figure}.png"],
            caption="../report/pplot.rst",
            category="{dataset}",
            subcategory="5 Group differences",
            labels={"figure": "{figure}"},
        ),
    log:
        "logs/{dataset}/stats.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        options=options("stats"),
        version=__version__,
    shell:
        "medtools stats mci-homology {input.manifest:q} --homology results/{wildcards.dataset}/homology"
        " --out results/{wildcards.dataset}/stats {params.options} 2> {log}"


rule train_fold:
    input:
        manifest=manifest,
        batches=all_batches,
    output:
        "results/{dataset}/train/folds/{fold}/train.json",
        "results/{dataset}/train/folds/{fold}/predictions.tsv",
    log:
        "logs/{dataset}/train/{fold}.log",
    benchmark:
        "logs/{dataset}/train/{fold}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=gpus,
        mem_mb=memory(3000),
        runtime=minutes(240),
    params:
        device=device,
        options=options("train"),
        version=__version__,
    shell:
        "medtools train mci-homology {input.manifest:q} --sample {wildcards.fold} --threads {threads} {params.device}"
        " --homology results/{wildcards.dataset}/homology --out results/{wildcards.dataset}/train"
        " {params.options} 2> {log}"


rule score:
    input:
        folds=all_folds,
    output:
        record="results/{dataset}/scores/score.json",
        scores=report(
            "results/{dataset}/scores/scores.tsv",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="6 Classification",
            labels={"table": "scores"},
        ),
        confusion=report(
            "results/{dataset}/scores/confusion.png",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="6 Classification",
            labels={"figure": "confusion"},
        ),
        roc=report(
            "results/{dataset}/scores/roc.png",
            caption="../report/scores.rst",
            category="{dataset}",
            subcategory="6 Classification",
            labels={"figure": "ROC"},
        ),
    log:
        "logs/{dataset}/score.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        options=options("score"),
        version=__version__,
    shell:
        "medtools score mci-homology results/{wildcards.dataset}/train"
        " --out results/{wildcards.dataset}/scores {params.options} 2> {log}"

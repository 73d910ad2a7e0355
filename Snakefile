# medtools: one DAG per data set named in config/config.yaml.
# Results: results/<data set>/<stage>/..., logs/<data set>/..., one report of everything by `snakemake --report`.

from snakemake.utils import min_version

from medtools.workflow import note_owner, adapt_to_site

min_version("9.12")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/fmri.smk"
include: "workflow/rules/homology.smk"
include: "workflow/rules/asd_transformer.smk"
include: "workflow/rules/covid_severity.smk"


onstart:
    note_owner()
    adapt_to_site(workflow.executor_settings)


rule all:
    default_target: True
    input:
        all_targets(),

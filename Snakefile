# medtools: one DAG per data set named in config/config.yaml.
# Results: results/<data set>/<stage>/..., logs/<data set>/..., one report of everything by `snakemake --report`.

from snakemake.utils import min_version

from medtools.cluster import adapt_to_site, note_owner

min_version("9.12")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/targets/ad_lite_net.smk"
include: "workflow/rules/targets/asd_transformer.smk"
include: "workflow/rules/targets/covid_severity.smk"
include: "workflow/rules/targets/drivpocket.smk"
include: "workflow/rules/targets/dspic.smk"
include: "workflow/rules/targets/local_prototype.smk"
include: "workflow/rules/targets/mci_homology.smk"
include: "workflow/rules/targets/spect_prnet.smk"
include: "workflow/rules/targets/spect_prototypes.smk"
include: "workflow/rules/about.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/homology.smk"
include: "workflow/rules/ad_lite_net.smk"
include: "workflow/rules/asd_transformer.smk"
include: "workflow/rules/covid_severity.smk"
include: "workflow/rules/drivpocket.smk"
include: "workflow/rules/dspic.smk"
include: "workflow/rules/local_prototype.smk"
include: "workflow/rules/spect_prnet.smk"
include: "workflow/rules/spect_prototypes.smk"


onstart:
    note_owner()
    adapt_to_site(workflow.executor_settings)


rule all:
    default_target: True
    input:
        all_targets(),

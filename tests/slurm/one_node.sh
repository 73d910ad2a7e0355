#!/usr/bin/env bash
# Install and start a SLURM of one node on this machine, for tests: Debian, as root.
# `one_node.sh start` answers once a job has run; `one_node.sh stop` ends what it started.
# A SLURM that is configured here already is used as it is and never touched.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
MARK="# one-node SLURM for the tests of medtools"

is_ours() { [ -f "$CONF" ] && grep -qF "$MARK" "$CONF"; }

answers() { timeout 20 srun -n1 true >/dev/null 2>&1; }

install_packages() {
    command -v slurmctld >/dev/null && command -v munged >/dev/null && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq slurm-wlm munge >/dev/null
}

write_key() {
    if [ ! -s /etc/munge/munge.key ]; then
        head -c 1024 /dev/urandom >/etc/munge/munge.key
    fi
    install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
    chown munge: /etc/munge /etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
}

write_conf() {
    local host cores memory
    host=$(hostname)
    cores=$(nproc)
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)
    mkdir -p /etc/slurm /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
    cat >"$CONF" <<CONF
$MARK
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
SlurmctldPidFile=/run/slurmctld-medtools.pid
SlurmdPidFile=/run/slurmd-medtools.pid
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    if command -v sinfo >/dev/null && [ -f "$CONF" ] && ! is_ours; then
        answers && exit 0
        echo "a SLURM is configured in $CONF but does not answer; it is not touched" >&2
        exit 3
    fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "needs root on Debian to install a one-node SLURM" >&2
        exit 3
    fi
    install_packages
    if is_ours && answers; then exit 0; fi
    write_key
    write_conf
    pgrep -x munged >/dev/null || su -s /bin/sh munge -c /usr/sbin/munged
    pgrep -x slurmctld >/dev/null || slurmctld
    pgrep -x slurmd >/dev/null || slurmd
    for _ in $(seq 30); do
        if answers; then exit 0; fi
        scontrol update nodename="$(hostname)" state=resume >/dev/null 2>&1 || true
        sleep 1
    done
    echo "the one-node SLURM does not answer; see /var/log/slurm" >&2
    exit 3
}

stop() {
    is_ours || exit 0
    scancel --user root >/dev/null 2>&1 || true
    pkill -x slurmd || true
    pkill -x slurmctld || true
    pkill -x munged || true
}

case "${1:-}" in
start | stop) "$1" ;;
*)
    echo "usage: one_node.sh start|stop" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# A SLURM cluster of two nodes on this machine, in namespaces of its own, for as long as a command runs in it:
#
#   scripts/slurm_two_nodes.sh python -m lossbench -m cluster=slurm loss=mse,huber seed=0,1 data=outliers
#
# Needs root, and Debian's slurm-wlm and munge (apt-get install --no-install-recommends slurm-wlm munge). Nothing of it
# listens outside of its network namespace, and nothing is left when the command has ended. Inside, $SLURM_TWO_NODES is
# a folder with the logs of the daemons and their pids (slurmd-n1.pid, slurmd-n2.pid, slurmctld.pid).
set -euo pipefail

if [[ -z ${SLURM_TWO_NODES:-} ]]; then
    for tool in slurmctld slurmd munged sbatch unshare ip; do
        command -v "$tool" >/dev/null || { echo "slurm_two_nodes.sh: $tool is not installed" >&2; exit 77; }
    done
    [[ $(id -u) == 0 ]] || { echo "slurm_two_nodes.sh: needs root for the namespaces" >&2; exit 77; }
    SLURM_TWO_NODES=$(mktemp -d)
    export SLURM_TWO_NODES
    trap 'rm -rf "$SLURM_TWO_NODES"' EXIT
    unshare --net --pid --mount --uts --mount-proc --fork --kill-child "$0" "$@"
    exit $?
fi

here=$SLURM_TWO_NODES
chmod 755 "$here"
mount --make-rprivate /
hostname cluster
ip link set lo up
# Names are not resolved with a loopback alone.
ip link add out type veth peer name in
ip addr add 10.77.0.1/24 dev out
ip link set out up && ip link set in up
cp /etc/hosts "$here/hosts"
printf '10.77.0.1 cluster n1 n2\n' >>"$here/hosts"
mount --bind "$here/hosts" /etc/hosts

mkdir -p "$here/state" "$here/spool-n1" "$here/spool-n2" "$here/munge"
chmod 700 "$here/munge"
dd if=/dev/urandom of="$here/munge/key" bs=64 count=1 status=none
chmod 600 "$here/munge/key"
munged --force --foreground --key-file="$here/munge/key" --socket="$here/munge/socket" --pid-file="$here/munge/pid" \
    --seed-file="$here/munge/seed" --log-file="$here/munge/log" >"$here/munged.out" 2>&1 &

cat >"$here/slurm.conf" <<CONF
ClusterName=two
SlurmctldHost=cluster(10.77.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$here/munge/socket
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool-%n
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd-%n.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd-%n.log
SlurmctldPort=17817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=20
KillWait=5
MinJobAge=30
ReturnToService=2
SchedulerParameters=sched_interval=2
NodeName=n1 NodeAddr=10.77.0.1 Port=17818 CPUs=1 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeAddr=10.77.0.1 Port=17819 CPUs=1 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$here/slurm.conf
for _ in $(seq 50); do [[ -S $here/munge/socket ]] && break; sleep 0.1; done
slurmctld -D >"$here/slurmctld.out" 2>&1 &
for node in n1 n2; do # each has a host name of its own, as our claims of runs would see it
    unshare --uts bash -c "hostname $node; exec slurmd -D -N $node" >"$here/slurmd-$node.out" 2>&1 &
done
for _ in $(seq 100); do
    [[ $(sinfo --noheader --format=%T 2>/dev/null | sort -u) == idle ]] && break
    sleep 0.3
done
sinfo >&2 || { cat "$here"/*.out "$here"/*.log >&2; exit 1; }
"$@"

#!/usr/bin/env bash
# Slurm, RabbitMQ and PostgreSQL for `make test-services`: installed with apt where they are missing, started without
# systemd, bound to 127.0.0.1, with ports and configuration of their own. What a machine has of its own stays untouched.
# Quantum ESPRESSO and Chromium, which the tests run too, are installed with them.
#
#   services.sh start     install what is missing, start what does not run, and wait until all of it answers
#   services.sh stop      end what was started, by the process ids recorded then, and remove its data
#   services.sh status    say what runs; exit status 1 unless all of it does
#
# Everything they write lies in $EMBARRIER_SERVICES, /var/lib/embarrier-services unless set; services.json there says
# where they are found.
set -euo pipefail

state=${EMBARRIER_SERVICES:-/var/lib/embarrier-services}
services=(munge slurmctld slurmd postgresql epmd rabbitmq)  # in the order of their starts

slurmctld_port=56817
slurmd_port=56818
postgresql_port=55432
rabbitmq_port=55672
rabbitmq_distribution_port=55673
epmd_port=55674

export SLURM_CONF=$state/slurm/slurm.conf
munge_socket=$state/munge/socket
patience=60  # seconds for a service to answer

fail() {
    echo "services: $*" >&2
    exit 1
}

# ---------------------------------------------------------------- installation

postgresql_folder() { # the newest of Debian's, or the one of the PATH
    local found
    found=$(find /usr/lib/postgresql -path '*/bin/postgres' 2> /dev/null | sort -V | tail -n 1)
    dirname "${found:-$(command -v postgres)}"
}

missing_packages() {
    command -v munged > /dev/null || echo munge
    command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v sbatch > /dev/null || echo slurm-wlm
    [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || echo rabbitmq-server
    postgresql_folder > /dev/null 2>&1 || echo postgresql
    command -v pw.x > /dev/null && command -v neb.x > /dev/null || echo quantum-espresso
    [[ -d /usr/share/espresso/pseudo ]] || echo quantum-espresso-data
    command -v chromium > /dev/null || echo chromium
}

install_packages() {
    local packages policy=/usr/sbin/policy-rc.d
    mapfile -t packages < <(missing_packages)
    [[ ${#packages[@]} == 0 ]] && return
    command -v apt-get > /dev/null ||
        fail "not installed here: ${packages[*]}. There is no apt-get to install them with: install them by hand"
    echo "installing ${packages[*]} with apt-get"
    if [[ ! -e $policy ]]; then  # otherwise Debian starts what it installs, on every network interface
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    mkdir -p "$state"
    if ! { apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } \
        > "$state/apt.log" 2>&1; then
        tail -n 20 "$state/apt.log" >&2
        fail "apt-get could not install ${packages[*]}; the end of $state/apt.log is above"
    fi
    mapfile -t packages < <(missing_packages)
    [[ ${#packages[@]} == 0 ]] || fail "still missing after apt-get: ${packages[*]}"
}

# ---------------------------------------------------------------- processes

# A process id alone may be that of another process after the machine was started again: it counts with its start time.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d ' ' -f 20; }

pid_of() { # prints the id of a service's process, nothing where it does not run
    local pid started
    read -r pid started 2> /dev/null < "$state/$1/pid" || return 1
    [[ -n $started && $(start_time "$pid") == "$started" ]] && echo "$pid"
}

launch() { # launch NAME USER COMMAND...: in the background, in a session of its own
    local name=$1 user=$2 pid
    shift 2
    cd /  # the users of the services may not read where we are
    setsid setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@" \
        > "$state/$name/log" 2>&1 < /dev/null &
    pid=$!
    echo "$pid $(start_time "$pid")" > "$state/$name/pid"
}

end() { # end NAME: with SIGTERM, and with SIGKILL where that does not help
    local pid
    pid=$(pid_of "$1") || { rm -f "$state/$1/pid"; return 0; }
    kill "$pid"
    for _ in {1..150}; do
        pid_of "$1" > /dev/null || break
        sleep 0.1
    done
    if pid_of "$1" > /dev/null; then kill -KILL "$pid"; fi
    rm -f "$state/$1/pid"
    echo "ended $1 (process $pid)"
}

# ---------------------------------------------------------------- the services: start_NAME and NAME_answers

start_munge() {
    local key=$state/munge/key
    chown munge: "$state/munge"
    if [[ ! -s $key ]]; then
        (umask 077 && head -c 1024 /dev/urandom > "$key")
        chown munge: "$key"
    fi
    launch munge munge "$(command -v munged)" --foreground --key-file="$key" --socket="$munge_socket" \
        --pid-file="$state/munge/munged.pid" --seed-file="$state/munge/seed" --log-file="$state/munge/munged.log"
}
munge_answers() { munge --no-input --socket="$munge_socket" > /dev/null 2>&1; }

configure_slurm() {
    local host
    host=$(hostname -s)
    # As many processors as the tests need, whatever the machine has: nothing of theirs keeps one busy for long.
    cat > "$SLURM_CONF" << CONF
ClusterName=embarrier
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$slurmctld_port
SlurmdPort=$slurmd_port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$munge_socket
StateSaveLocation=$state/slurmctld/state
SlurmdSpoolDir=$state/slurmd/spool
SlurmctldPidFile=$state/slurmctld/slurmctld.pid
SlurmdPidFile=$state/slurmd/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MinJobAge=300
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=minute Nodes=ALL MaxTime=1 State=UP
CONF
    # No process is bound or limited, but slurmd looks for control groups all the same.
    case $(stat -f -c %T /sys/fs/cgroup) in
        cgroup2fs) printf 'CgroupPlugin=cgroup/v2\nIgnoreSystemd=yes\n' ;;
        *) echo 'CgroupPlugin=cgroup/v1' ;;
    esac > "$(dirname "$SLURM_CONF")/cgroup.conf"
}
start_slurmctld() {
    mkdir -p "$state/slurm" "$state/slurmctld/state"
    configure_slurm
    launch slurmctld root "$(command -v slurmctld)" -D
}
slurmctld_answers() { scontrol ping 2> /dev/null | grep -q 'is UP'; }
start_slurmd() {
    mkdir -p "$state/slurmd/spool"
    launch slurmd root "$(command -v slurmd)" -D
}
slurmd_answers() { [[ $(sinfo --noheader --partition=main --format=%T 2> /dev/null) =~ ^(idle|mixed|allocated)$ ]]; }

start_postgresql() {
    local data=$state/postgresql/data binaries
    binaries=$(postgresql_folder)
    if [[ ! -s $data/PG_VERSION ]]; then
        rm -rf "$data"
        install -d -o postgres -g postgres -m 700 "$data"
        (cd / && setpriv --reuid=postgres --regid="$(id -g postgres)" --init-groups -- \
            "$binaries/initdb" --pgdata="$data" --auth=trust --encoding=UTF8 --locale=C.UTF-8) > /dev/null
    fi
    # Nothing in it is worth waiting for the disk.
    launch postgresql postgres "$binaries/postgres" -D "$data" -p "$postgresql_port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$data" -c fsync=off -c synchronous_commit=off
}
postgresql_answers() { "$(postgresql_folder)/pg_isready" -q -h 127.0.0.1 -p "$postgresql_port"; }

start_epmd() {  # Erlang would start one by itself, which nothing ends
    launch epmd rabbitmq "$(command -v epmd)" -address 127.0.0.1 -port "$epmd_port"
}
epmd_answers() { epmd -port "$epmd_port" -names > /dev/null 2>&1; }
start_rabbitmq() {
    local folder=$state/rabbitmq
    chown rabbitmq: "$folder"
    # AiiDA acknowledges a task when it is done, which takes longer than RabbitMQ waits by default.
    cat > "$folder/rabbitmq.conf" << CONF
listeners.tcp.local = 127.0.0.1:$rabbitmq_port
consumer_timeout = 36000000
CONF
    launch rabbitmq rabbitmq env HOME="$folder" \
        ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd_port" \
        RABBITMQ_NODENAME=embarrier@localhost RABBITMQ_DIST_PORT="$rabbitmq_distribution_port" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/dev/null \
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/plugins" RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder" \
        /usr/lib/rabbitmq/bin/rabbitmq-server
}
rabbitmq_answers() { (exec 3<> "/dev/tcp/127.0.0.1/$rabbitmq_port") 2> /dev/null; }

# ---------------------------------------------------------------- commands

runs() { pid_of "$1" > /dev/null && "$1_answers"; }

start() {
    local name deadline
    [[ $EUID == 0 ]] || fail 'only root can install and start Slurm, RabbitMQ and PostgreSQL: sudo make services'
    install_packages
    mkdir -p "$state"
    chmod 755 "$state"
    for name in "${services[@]}"; do
        runs "$name" && continue
        end "$name"
        mkdir -p "$state/$name"
        chmod 755 "$state/$name"
        "start_$name"
        deadline=$((SECONDS + patience))
        until "${name}_answers"; do
            pid_of "$name" > /dev/null || fail "$name ended at once: $(tail -n 5 "$state/$name/log")"
            ((SECONDS < deadline)) || fail "$name does not answer after $patience s; see $state/$name/log"
            sleep 0.1
        done
    done
    cat > "$state/services.json" << JSON
{
 "slurm_conf": "$SLURM_CONF",
 "postgresql": {"hostname": "127.0.0.1", "port": $postgresql_port, "username": "postgres", "password": "trusted"},
 "rabbitmq": {"host": "127.0.0.1", "port": $rabbitmq_port, "username": "guest", "password": "guest"}
}
JSON
    status
    echo "stop them with: make stop-services"
}

stop() {
    local index
    [[ $EUID == 0 ]] || fail 'only root can stop what root started: sudo make stop-services'
    if runs slurmctld; then  # jobs outlive slurmd
        squeue --noheader --format=%A | xargs --no-run-if-empty scancel
        for _ in {1..100}; do
            [[ -z $(squeue --noheader) ]] && break
            sleep 0.1
        done
    fi
    rm -f "$state/services.json"
    for ((index = ${#services[@]} - 1; index >= 0; index--)); do end "${services[index]}"; done
    # What they kept was for tests; their logs stay.
    rm -rf "$state/slurmctld/state" "$state/slurmd/spool" "$state/postgresql/data" "$state/rabbitmq/data"
}

status() {
    local name all=0
    for name in "${services[@]}"; do
        if runs "$name"; then
            printf '%-11s runs as process %-8s log: %s\n' "$name" "$(pid_of "$name")" "$state/$name/log"
        else
            printf '%-11s does not run\n' "$name"
            all=1
        fi
    done
    return "$all"
}

case ${1:-} in
    start | stop | status) "$1" ;;
    *) fail 'say what to do: start, stop or status' ;;
esac

"""The keys of a service and their types: those of `docker stack` and of the Compose Spec. Pure."""

from swarmpy.stack.atoms import (
    COMMAND,
    DURATION,
    NAME,
    NOTHING,
    NUMBER,
    OPTIONS,
    PAIRS,
    SET,
    SIZE,
    SIZE_OR_NUMBER,
    TEXT,
    TEXT_OR_SET,
    TEXT_OR_TEXTS,
    TRUTH,
    WHOLE,
)
from swarmpy.stack.deploy_schema import DEPLOY, DEVICE_REQUESTS
from swarmpy.stack.shapes import Anything, Either, Fields, ListOf, MapOf, Shape, Text, Whole
from swarmpy.stack.shortforms import parse_port, parse_volume
from swarmpy.stack.units import parse_whole
from swarmpy.stack.wishes import DEADLINE, WISHES

_HEALTHCHECK = Fields(
    {
        "disable": TRUTH,
        "interval": DURATION,
        "retries": Whole(least=0),
        "test": TEXT_OR_TEXTS,
        "timeout": DURATION,
        "start_period": DURATION,
        "start_interval": DURATION,
    },
    extensible=True,
)
_VOLUME_USE = Fields(
    {
        "type": TEXT,
        "source": TEXT,
        "target": TEXT,
        "read_only": TRUTH,
        "consistency": TEXT,
        "bind": Fields(
            {"propagation": TEXT, "create_host_path": TRUTH, "recursive": TEXT, "selinux": TEXT}, is_open=True
        ),
        "volume": Fields({"nocopy": TRUTH, "subpath": TEXT, "labels": PAIRS}, is_open=True),
        "tmpfs": Fields({"size": Either((Whole(least=0), SIZE)), "mode": NUMBER}, is_open=True),
        "cluster": Anything(),
        "image": Anything(),
    },
    required=("type",),
    extensible=True,
)
_FILE_USE = Either(
    (
        TEXT,
        Fields(
            {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": NUMBER},
            is_open=True,
        ),
    )
)
_PORT = Either(
    (
        Text(reads=parse_port),
        Whole(least=1, most=65535),
        Fields(
            {
                "name": TEXT,
                "mode": TEXT,
                "host_ip": TEXT,
                "target": WHOLE,
                "published": Either((WHOLE, Text(reads=parse_whole))),
                "protocol": TEXT,
                "app_protocol": TEXT,
            },
            extensible=True,
        ),
    )
)
_NETWORK_USE = Either(
    (
        NOTHING,
        Fields(
            {
                "aliases": SET,
                "driver_opts": OPTIONS,
                "gw_priority": NUMBER,
                "interface_name": TEXT,
                "ipv4_address": TEXT,
                "ipv6_address": TEXT,
                "link_local_ips": SET,
                "mac_address": TEXT,
                "priority": NUMBER,
            },
            extensible=True,
        ),
    )
)
_DEPENDS_ON = Either(
    (SET, MapOf(Fields({"condition": TEXT, "restart": TRUTH, "required": TRUTH}, extensible=True), key=NAME))
)
_ENV_FILE = Either(
    (TEXT, ListOf(Either((TEXT, Fields({"path": TEXT, "format": TEXT, "required": TRUTH}, required=("path",))))))
)
_DEVICE = Either(
    (TEXT, Fields({"source": TEXT, "target": TEXT, "permissions": TEXT}, required=("source",), extensible=True))
)
_RATES = ListOf(Fields({"path": TEXT, "rate": Either((WHOLE, SIZE))}, required=("path", "rate")))
_BLKIO = Fields(
    {
        "weight": WHOLE,
        "weight_device": ListOf(Fields({"path": TEXT, "weight": WHOLE}, required=("path", "weight"))),
        "device_read_bps": _RATES,
        "device_read_iops": _RATES,
        "device_write_bps": _RATES,
        "device_write_iops": _RATES,
    }
)
_WATCH = ListOf(
    Fields(
        {
            "path": TEXT,
            "action": Text(choices=("rebuild", "restart", "sync", "sync+exec", "sync+restart")),
        },
        required=("path", "action"),
        is_open=True,
    )
)
_MICROSECONDS = Either((WHOLE, TEXT))

# What `docker stack` knows; its output keeps their order in the file.
_OF_STACKS: dict[str, Shape] = {
    "build": Either((TEXT, Fields({}, is_open=True))),
    "cap_add": SET,
    "cap_drop": SET,
    "cgroup_parent": TEXT,
    "cgroupns_mode": TEXT,
    "command": COMMAND,
    "configs": ListOf(_FILE_USE),
    "container_name": TEXT,
    "credential_spec": Fields({"config": TEXT, "file": TEXT, "registry": TEXT}),
    "depends_on": _DEPENDS_ON,
    "deploy": Either((NOTHING, DEPLOY)),
    "devices": ListOf(_DEVICE, unique=True),
    "dns": TEXT_OR_SET,
    "dns_search": TEXT_OR_SET,
    "domainname": TEXT,
    "entrypoint": COMMAND,
    "env_file": _ENV_FILE,
    "environment": PAIRS,
    "expose": ListOf(Either((TEXT, NUMBER)), unique=True),
    "external_links": SET,
    "extra_hosts": PAIRS,
    "healthcheck": _HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": TRUTH,
    "ipc": TEXT,
    "isolation": TEXT,
    "labels": PAIRS,
    "links": SET,
    "logging": Fields({"driver": TEXT, "options": MapOf(Either((TEXT, NUMBER, NOTHING)))}, extensible=True),
    "mac_address": TEXT,
    "network_mode": TEXT,
    "networks": Either((SET, MapOf(_NETWORK_USE, key=NAME))),
    "oom_score_adj": WHOLE,
    "pid": Either((TEXT, NOTHING)),
    "ports": ListOf(_PORT, unique=True),
    "privileged": TRUTH,
    "read_only": TRUTH,
    "restart": TEXT,
    "secrets": ListOf(_FILE_USE),
    "security_opt": SET,
    "shm_size": SIZE_OR_NUMBER,
    "stdin_open": TRUTH,
    "stop_grace_period": DURATION,
    "stop_signal": TEXT,
    "sysctls": PAIRS,
    "tmpfs": TEXT_OR_SET,
    "tty": TRUTH,
    "ulimits": MapOf(
        Either((WHOLE, Fields({"soft": WHOLE, "hard": WHOLE}, required=("soft", "hard"), extensible=True))), key=".+"
    ),
    "user": TEXT,
    "userns_mode": TEXT,
    "volumes": ListOf(Either((Text(reads=parse_volume), _VOLUME_USE))),
    "working_dir": TEXT,
}
# What the Compose Spec has besides.
_OF_COMPOSE: dict[str, Shape] = {
    "annotations": PAIRS,
    "attach": TRUTH,
    "blkio_config": _BLKIO,
    "cgroup": TEXT,
    "cpu_count": Either((WHOLE, TEXT)),
    "cpu_percent": NUMBER,
    "cpu_period": _MICROSECONDS,
    "cpu_quota": _MICROSECONDS,
    "cpu_rt_period": _MICROSECONDS,
    "cpu_rt_runtime": _MICROSECONDS,
    "cpu_shares": WHOLE,
    "cpus": Either((NUMBER, TEXT)),
    "cpuset": TEXT,
    "develop": Either((NOTHING, Fields({"watch": _WATCH}, extensible=True))),
    "device_cgroup_rules": SET,
    "dns_opt": SET,
    "extends": Either((TEXT, Fields({"service": TEXT, "file": TEXT}, required=("service",)))),
    "gpus": Either((TEXT, DEVICE_REQUESTS)),
    "group_add": ListOf(Either((TEXT, NUMBER)), unique=True),
    "label_file": TEXT_OR_SET,
    "mem_limit": SIZE_OR_NUMBER,
    "mem_reservation": SIZE_OR_NUMBER,
    "mem_swappiness": WHOLE,
    "memswap_limit": Either((NUMBER, TEXT)),
    "models": Anything(),
    "oom_kill_disable": TRUTH,
    "pids_limit": WHOLE,
    "platform": TEXT,
    "post_start": Anything(),
    "pre_stop": Anything(),
    "profiles": SET,
    "provider": Anything(),
    "pull_policy": TEXT,
    "pull_refresh_after": TEXT,
    "runtime": TEXT,
    "scale": Whole(least=0),
    "storage_opt": OPTIONS,
    "use_api_socket": TRUTH,
    "uts": TEXT,
    "volumes_from": SET,
}
_OF_SWARMPY: dict[str, Shape] = {WISHES: Either((NOTHING, Fields({DEADLINE: DURATION})))}

SERVICE = Fields(
    {**_OF_STACKS, **_OF_COMPOSE, **_OF_SWARMPY},
    extensible=True,
    elsewhere={"volume_driver": "is a key of old files; give the volume its driver in the section `volumes`"},
)

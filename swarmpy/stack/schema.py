"""The keys of a stack file, section by section, and their types: those that `docker stack` knows. Pure.

Which of them swarmpy carries out is another question (`keys`).
"""

from swarmpy.stack.shapes import Anything, Either, Fields, ListOf, MapOf, Nothing, Number, Shape, Text, Truth, Whole
from swarmpy.stack.shortforms import parse_port, parse_volume, split_words
from swarmpy.stack.units import parse_cpus, parse_duration, parse_size

_text, _whole, _number, _truth, _nothing = Text(), Whole(), Number(), Truth(), Nothing()
_texts, _set = ListOf(_text), ListOf(_text, unique=True)
_text_or_texts = Either((_text, _texts))
_text_or_set = Either((_text, _set))
_command = Either((Text(reads=split_words), _texts))
_pairs = Either((MapOf(Either((_text, _number, _nothing))), _set))
_options = MapOf(Either((_text, _number)))
_duration = Text(reads=parse_duration, word="a duration (a string such as 1m30s)")
_size = Text(reads=parse_size, word="a size (a string such as 64m)")
_cpus = Text(reads=parse_cpus, word='a number of CPUs (a string such as "0.5")')
_port = Text(reads=parse_port)
_name = r"[a-zA-Z0-9._-]+"
_external = Either((_truth, Fields({"name": _text})))

# Known to Compose files that `docker compose` reads, and to no stack file.
_COMPOSE_ONLY = (
    "annotations", "attach", "blkio_config", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period",
    "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "cgroup", "develop", "device_cgroup_rules", "dns_opt",
    "extends", "gpus", "group_add", "label_file", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit",
    "models", "oom_kill_disable", "pids_limit", "platform", "post_start", "pre_stop", "profiles", "provider",
    "pull_policy", "pull_refresh_after", "runtime", "scale", "storage_opt", "use_api_socket", "uts", "volumes_from",
)  # fmt: skip
_INSTEAD = {
    "scale": "deploy.replicas",
    "cpus": "deploy.resources.limits.cpus",
    "mem_limit": "deploy.resources.limits.memory",
    "mem_reservation": "deploy.resources.reservations.memory",
    "pids_limit": "deploy.resources.limits.pids",
    "platform": "deploy.placement.constraints",
}


def _elsewhere(key: str) -> str:
    instead = f"; use {_INSTEAD[key]}" if key in _INSTEAD else ""
    return f"is a key of docker compose and none of stack files{instead}"


_HEALTHCHECK = Fields(
    {
        "disable": _truth,
        "interval": _duration,
        "retries": Whole(least=0),
        "test": _text_or_texts,
        "timeout": _duration,
        "start_period": _duration,
        "start_interval": _duration,
    }
)
_UPDATE = Fields(
    {
        "parallelism": Whole(least=0),
        "delay": _duration,
        "failure_action": _text,
        "monitor": _duration,
        "max_failure_ratio": _number,
        "order": Text(choices=("start-first", "stop-first")),
    }
)
_DEPLOY = Fields(
    {
        "mode": _text,
        "endpoint_mode": _text,
        "replicas": Whole(least=0),
        "labels": _pairs,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": Fields(
            {
                "limits": Fields({"cpus": _cpus, "memory": _size, "pids": _whole}),
                "reservations": Fields(
                    {
                        "cpus": _cpus,
                        "memory": _size,
                        "generic_resources": ListOf(
                            Fields({"discrete_resource_spec": Fields({"kind": _text, "value": _number})})
                        ),
                    }
                ),
            }
        ),
        "restart_policy": Fields(
            {"condition": _text, "delay": _duration, "max_attempts": Whole(least=0), "window": _duration}
        ),
        "placement": Fields(
            {
                "constraints": _texts,
                "preferences": ListOf(Fields({"spread": _text})),
                "max_replicas_per_node": Whole(least=0),
            }
        ),
    }
)
_VOLUME_USE = Fields(
    {
        "type": _text,
        "source": _text,
        "target": _text,
        "read_only": _truth,
        "consistency": _text,
        "bind": Fields({"propagation": _text}, is_open=True),
        "volume": Fields({"nocopy": _truth, "subpath": _text}, is_open=True),
        "tmpfs": Fields({"size": Whole(least=0)}, is_open=True),
        "cluster": Anything(),
        "image": Anything(),
    },
    required=("type",),
)
_FILE_USE = Either(
    (
        _text,
        Fields({"source": _text, "target": _text, "uid": _text, "gid": _text, "mode": _number}, is_open=True),
    )
)
_PORT = Either(
    (
        _port,
        Whole(least=1),
        Fields({"mode": _text, "target": _whole, "published": _whole, "protocol": _text}),
    )
)
_NETWORK_USE = Either(
    (
        _nothing,
        Fields({"aliases": _set, "driver_opts": _options, "ipv4_address": _text, "ipv6_address": _text}),
    )
)

SERVICE = Fields(
    {
        "build": Either((_text, Fields({}, is_open=True))),
        "cap_add": _set,
        "cap_drop": _set,
        "cgroup_parent": _text,
        "cgroupns_mode": _text,
        "command": _command,
        "configs": ListOf(_FILE_USE),
        "container_name": _text,
        "credential_spec": Fields({"config": _text, "file": _text, "registry": _text}),
        "depends_on": _set,
        "deploy": Either((_nothing, _DEPLOY)),
        "devices": _set,
        "dns": _text_or_set,
        "dns_search": _text_or_set,
        "domainname": _text,
        "entrypoint": _command,
        "env_file": _text_or_set,
        "environment": _pairs,
        "expose": ListOf(Either((_text, _number)), unique=True),
        "external_links": _set,
        "extra_hosts": _pairs,
        "healthcheck": _HEALTHCHECK,
        "hostname": _text,
        "image": _text,
        "init": _truth,
        "ipc": _text,
        "isolation": _text,
        "labels": _pairs,
        "links": _set,
        "logging": Fields({"driver": _text, "options": MapOf(Either((_text, _number, _nothing)))}),
        "mac_address": _text,
        "network_mode": _text,
        "networks": Either((_set, MapOf(_NETWORK_USE, key=_name))),
        "oom_score_adj": _whole,
        "pid": Either((_text, _nothing)),
        "ports": ListOf(_PORT, unique=True),
        "privileged": _truth,
        "read_only": _truth,
        "restart": _text,
        "secrets": ListOf(_FILE_USE),
        "security_opt": _set,
        "shm_size": Either((_number, _size)),
        "stdin_open": _truth,
        "stop_grace_period": _duration,
        "stop_signal": _text,
        "sysctls": _pairs,
        "tmpfs": _text_or_set,
        "tty": _truth,
        "ulimits": MapOf(
            Either((_whole, Fields({"soft": _whole, "hard": _whole}, required=("soft", "hard")))), key=".+"
        ),
        "user": _text,
        "userns_mode": _text,
        "volumes": ListOf(Either((Text(reads=parse_volume), _VOLUME_USE))),
        "working_dir": _text,
    },
    extensible=True,
    elsewhere={key: _elsewhere(key) for key in _COMPOSE_ONLY},
)
NETWORK = Fields(
    {
        "name": _text,
        "driver": _text,
        "driver_opts": _options,
        "ipam": Fields({"driver": _text, "config": ListOf(Fields({"subnet": _text}))}),
        "external": _external,
        "internal": _truth,
        "attachable": _truth,
        "labels": _pairs,
    },
    extensible=True,
)
VOLUME = Fields(
    {"name": _text, "driver": _text, "driver_opts": _options, "external": _external, "labels": _pairs},
    extensible=True,
)
SECRET = Fields(
    {
        "name": _text,
        "file": _text,
        "external": _external,
        "labels": _pairs,
        "driver": _text,
        "driver_opts": _options,
        "template_driver": _text,
        "environment": _text,
    },
    extensible=True,
    elsewhere={"content": "would show the secret to every reader of the file; use file or environment"},
)
CONFIG = Fields(
    {
        "name": _text,
        "file": _text,
        "external": _external,
        "labels": _pairs,
        "template_driver": _text,
        "environment": _text,
        "content": _text,
    },
    extensible=True,
)


def _section(shape: Shape) -> MapOf:
    return MapOf(shape, key=_name)


FILE = Fields(
    {
        "version": _text,
        "services": _section(SERVICE),
        "networks": _section(Either((_nothing, NETWORK))),
        "volumes": _section(Either((_nothing, VOLUME))),
        "secrets": _section(SECRET),
        "configs": _section(CONFIG),
    },
    extensible=True,
    elsewhere={
        "name": "is a key of docker compose and none of stack files; name the stack on the command line",
        "include": "is a key of docker compose and none of stack files; give each file with its own -c",
        "models": _elsewhere("models"),
    },
)

# "3" means the newest.
VERSIONS = ("3", *(f"3.{minor}" for minor in range(14)))
NEWEST_VERSION = "3.13"

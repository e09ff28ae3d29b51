"""The keys below `deploy` and their types. Pure."""

from swarmpy.stack.atoms import CPUS, DURATION, NOTHING, NUMBER, OPTIONS, PAIRS, SET, SIZE, TEXT, TEXTS, WHOLE
from swarmpy.stack.shapes import Either, Fields, ListOf, Shape, Text, Whole
from swarmpy.stack.wishes import DEADLINE, WISHES

DEVICE_REQUESTS = ListOf(
    Fields(
        {
            "capabilities": SET,
            "count": Either((TEXT, WHOLE)),
            "device_ids": SET,
            "driver": TEXT,
            "options": OPTIONS,
        },
        extensible=True,
    )
)
_UPDATE: dict[str, Shape] = {
    "parallelism": Whole(least=0),
    "delay": DURATION,
    "failure_action": TEXT,
    "monitor": DURATION,
    "max_failure_ratio": NUMBER,
    "order": Text(choices=("start-first", "stop-first")),
}
_WISHES: dict[str, Shape] = {WISHES: Either((NOTHING, Fields({DEADLINE: DURATION})))}
_RESOURCES = Fields(
    {
        "limits": Fields({"cpus": CPUS, "memory": SIZE, "pids": WHOLE}, extensible=True),
        "reservations": Fields(
            {
                "cpus": CPUS,
                "memory": SIZE,
                "generic_resources": ListOf(
                    Fields({"discrete_resource_spec": Fields({"kind": TEXT, "value": NUMBER})}, extensible=True)
                ),
                "devices": DEVICE_REQUESTS,
            },
            extensible=True,
        ),
    },
    extensible=True,
)
DEPLOY = Fields(
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": Whole(least=0),
        "labels": PAIRS,
        "rollback_config": Fields(_UPDATE, extensible=True),
        "update_config": Fields({**_UPDATE, **_WISHES}, extensible=True),
        "resources": _RESOURCES,
        "restart_policy": Fields(
            {"condition": TEXT, "delay": DURATION, "max_attempts": Whole(least=0), "window": DURATION},
            extensible=True,
        ),
        "placement": Fields(
            {
                "constraints": TEXTS,
                "preferences": ListOf(Fields({"spread": TEXT}, extensible=True)),
                "max_replicas_per_node": Whole(least=0),
            },
            extensible=True,
        ),
    },
    extensible=True,
)

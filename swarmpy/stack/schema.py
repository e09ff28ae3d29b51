"""The keys of a stack file, section by section, and their types: `docker stack`'s and the Compose Spec's. Pure.

Which of them swarmpy carries out is another question (`keys`).
"""

from swarmpy.stack.atoms import NAME, NOTHING, OPTIONS, PAIRS, TEXT, TEXT_OR_TEXTS, TRUTH
from swarmpy.stack.service_schema import SERVICE
from swarmpy.stack.shapes import Anything, Either, Fields, ListOf, MapOf, Shape
from swarmpy.stack.wishes import AFFINITY, WISHES

_external = Either((TRUTH, Fields({"name": TEXT})))

NETWORK = Fields(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": Fields(
            {
                "driver": TEXT,
                "config": ListOf(
                    Fields(
                        {
                            "subnet": TEXT,
                            "gateway": TEXT,
                            "ip_range": TEXT,
                            "aux_addresses": MapOf(TEXT),
                        },
                        extensible=True,
                    )
                ),
                "options": MapOf(TEXT),
            },
            extensible=True,
        ),
        "external": _external,
        "internal": TRUTH,
        "attachable": TRUTH,
        "enable_ipv4": TRUTH,
        "enable_ipv6": TRUTH,
        "labels": PAIRS,
    },
    extensible=True,
)
VOLUME = Fields(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "external": _external,
        "labels": PAIRS,
        WISHES: Either((NOTHING, Fields({AFFINITY: TRUTH}))),
    },
    extensible=True,
)
_FILE_OBJECT: dict[str, Shape] = {
    "name": TEXT,
    "file": TEXT,
    "external": _external,
    "labels": PAIRS,
    "template_driver": TEXT,
    "environment": TEXT,
}
SECRET = Fields(
    {**_FILE_OBJECT, "driver": TEXT, "driver_opts": OPTIONS},
    extensible=True,
    elsewhere={"content": "would show the secret to every reader of the file; use file or environment"},
)
CONFIG = Fields({**_FILE_OBJECT, "content": TEXT}, extensible=True)


def _section(shape: Shape) -> MapOf:
    return MapOf(shape, key=NAME)


FILE = Fields(
    {
        "version": TEXT,
        "name": TEXT,
        "include": ListOf(
            Either(
                (
                    TEXT,
                    Fields(
                        {"path": TEXT_OR_TEXTS, "project_directory": TEXT, "env_file": TEXT_OR_TEXTS},
                        required=("path",),
                    ),
                )
            )
        ),
        "services": _section(SERVICE),
        "models": Anything(),
        "networks": _section(Either((NOTHING, NETWORK))),
        "volumes": _section(Either((NOTHING, VOLUME))),
        "secrets": _section(SECRET),
        "configs": _section(CONFIG),
    },
    extensible=True,
)

# "3" means the newest. Those of version 2 are read as the Compose Spec says: the number counts for nothing.
VERSIONS = ("3", *(f"3.{minor}" for minor in range(14)), "2", *(f"2.{minor}" for minor in range(5)))
NEWEST_VERSION = "3.13"

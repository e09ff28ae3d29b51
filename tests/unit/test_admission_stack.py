"""Which revisions of a stack are kept: the newest ten, and the one that runs."""

from typing import Any

import pytest
from support.builders import T0, a_service, a_state

from manager.admission.service import admit_service
from manager.admission.stack import admit_revision
from manager.objects import Service, StackRevision
from manager.state import State
from manager.store.port import Delete
from swarmpy.models.service import ServiceSpec, UpdateState, UpdateStatus
from swarmpy.models.stack import OutcomeState, StackOutcome, StackWish

IMAGES = {number: f"web:{number}" for number in range(1, 11)}


def wished(image: str, name: str = "shop_web") -> ServiceSpec:
    return ServiceSpec.model_validate({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}})


def stored(image: str) -> ServiceSpec:
    return admit_service(a_state(), wished(image), service_id="w", now=T0, sealed_auth=None).value.spec


def revisions(*others: ServiceSpec) -> list[StackRevision]:
    return [
        StackRevision(
            id=f"shop.{number}", created_at=T0, updated_at=T0, stack="shop", number=number,
            wish=StackWish(services=(wished(image), *others)),
        )
        for number, image in IMAGES.items()
    ]  # fmt: skip


def the_service(runs: str, before: str | None = None, update: UpdateState | None = None) -> Service:
    fields: dict[str, Any] = {
        "spec": stored(runs),
        "previous_spec": stored(before) if before else None,
        "update": UpdateStatus(state=update) if update else None,
    }
    return a_service("shop_web").model_copy(update=fields)


def picture(*objects: Any) -> State:
    state = a_state(*objects)
    state.names["services/shop_web"] = "shop_web"
    return state


def dropped(state: State) -> list[str]:
    unit = admit_revision(state, "shop", StackWish(services=(wished("web:11"),)), now=T0).units[0]
    return [write.key for write in unit.writes if isinstance(write, Delete)]


@pytest.mark.parametrize(
    ("service", "goes"),
    [
        (the_service("web:10"), "stacks/shop.1"),
        # Nine deployments were rolled back; the tenth is on its way.
        (the_service("web:1", update=UpdateState.ROLLBACK_COMPLETED), "stacks/shop.2"),
        (the_service("web:11", "web:1"), "stacks/shop.2"),
        (the_service("web:11", "web:1", UpdateState.UPDATING), "stacks/shop.2"),
        (the_service("web:11", "web:1", UpdateState.PAUSED), "stacks/shop.2"),
        (the_service("web:11", "web:1", UpdateState.COMPLETED), "stacks/shop.1"),
    ],
)
def test_the_revision_that_runs_or_is_gone_back_to_stays(service: Service, goes: str) -> None:
    assert dropped(picture(service, *revisions())) == [goes]


def test_a_revision_of_which_a_service_is_gone_does_not_run() -> None:
    assert dropped(picture(the_service("web:1"), *revisions(wished("db:1", "shop_db")))) == ["stacks/shop.1"]


def test_the_newest_revision_that_is_known_to_have_run_stays() -> None:
    known = revisions()
    known[1] = known[1].model_copy(update={"outcome": StackOutcome(state=OutcomeState.CONVERGED)})
    assert dropped(picture(the_service("web:1"), *known)) == ["stacks/shop.3"]

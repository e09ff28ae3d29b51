"""Which revisions of a stack are kept: the newest ten, and the one that runs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import T0, a_service, a_state

from manager.admission.service import admit_service
from manager.admission.stack import KEPT, admit_revision, digest_of
from manager.api.steps import at_once
from manager.api.views.stacks import revision_lines
from manager.objects import Service, StackRevision
from manager.state import State
from manager.store.port import Delete
from swarmpy.cli.way_back import way_back
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


def test_the_same_wish_has_the_same_digest_whatever_the_order_of_its_maps_and_no_other_has() -> None:
    def of(labels: dict[str, str]) -> str:
        return digest_of(StackWish(services=(wished("web:1").model_copy(update={"labels": labels}),)))

    assert of({"a": "1", "b": "2"}) == of({"b": "2", "a": "1"})
    assert of({"a": "1"}) != of({"a": "2"})


OUTCOMES = st.sampled_from(list(OutcomeState))
LACKS = st.sampled_from([(), (), ("gone",), ("key",)])


@given(st.lists(st.tuples(st.sampled_from(["web:1", "web:2", "web:3", "web:4"]), OUTCOMES, LACKS), max_size=KEPT))
def test_what_a_rollback_goes_to_is_never_dropped(told: list[tuple[str, OutcomeState, tuple[str, ...]]]) -> None:
    """The command line chooses from the list, and the manager which of them are there to choose from."""
    known = tuple(
        StackRevision(
            id=f"shop.{number}", created_at=T0, updated_at=T0, stack="shop", number=number,
            wish=StackWish(services=(wished(image),), secrets=secrets), outcome=StackOutcome(state=state),
        )
        for number, (image, state, secrets) in enumerate(told, start=1)
    )  # fmt: skip
    state = picture(*known)
    state.names["secrets/key"] = "key"
    admitted = admit_revision(state, "shop", StackWish(services=(wished("web:9"),)), now=T0)
    gone = [write.key for write in admitted.units[0].writes if isinstance(write, Delete)]
    lines = at_once(revision_lines(state, (admitted.value, *reversed(known))))
    back = way_back(lines, admitted.value.number).to
    if back is not None and known[back - 1].outcome.state is OutcomeState.CONVERGED:
        assert f"stacks/shop.{back}" not in gone


def test_a_revision_whose_secret_is_gone_is_not_spared_for_a_rollback() -> None:
    known = revisions()
    for index, secrets in ((0, ()), (1, ("gone",))):
        wish = known[index].wish.model_copy(update={"secrets": secrets})
        outcome = StackOutcome(state=OutcomeState.CONVERGED)
        known[index] = known[index].model_copy(update={"outcome": outcome, "wish": wish})
    assert dropped(picture(*known)) == ["stacks/shop.2"]

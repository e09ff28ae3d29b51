"""Documents written by hand for speed are what the models would write."""

from hypothesis import given
from hypothesis import strategies as st
from support.builders import T0, a_network, a_service, a_state, a_task

from manager.api.views.tasks import TaskViews, full_name
from manager.objects import Reason, ReasonCode, TaskNetwork
from swarmpy.models.resources import DiscreteResource, GenericResource
from swarmpy.models.task import Task
from swarmpy.states import TaskState

REASONS = st.none() | st.sampled_from(ReasonCode).map(
    lambda code: Reason(code=code, text="why", since=T0, nodes={"n": "x"})
)
NETWORKS = st.lists(
    st.builds(TaskNetwork, network_id=st.sampled_from(["net", "gone"]), address=st.sampled_from(["", "10.1.1.2/24"])),
    max_size=2,
)
GENERIC = st.sampled_from([(), (GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=2)),)])


@given(
    slot=st.integers(0, 3),
    node=st.sampled_from(["", "n1"]),
    state=st.sampled_from(TaskState),
    iteration=st.none() | st.integers(0, 3),
    reason=REASONS,
    networks=NETWORKS,
    generic=GENERIC,
)
def test_a_tasks_document_survives_its_model(
    slot: int,
    node: str,
    state: TaskState,
    iteration: int | None,
    reason: Reason | None,
    networks: list[TaskNetwork],
    generic: tuple[GenericResource, ...],
) -> None:
    web = a_service("web")
    task = a_task("t", web, slot=slot, node=node, state=state, reason=reason, job_iteration=iteration, generic=generic)
    task = task.model_copy(update={"networks": tuple(networks)})
    picture = a_state(web, a_network("net", subnet="10.1.0.0/16", gateway="10.1.0.1", vni=4097), task)
    document = TaskViews(picture).document(picture.tasks["t"])
    assert Task.model_validate(document).to_docker() == document


def test_the_full_name_of_a_global_task_names_its_node() -> None:
    assert full_name(a_task("t", "web", slot=2)) == "web.2.t"
    assert full_name(a_task("t", "web", slot=0, node="n1")) == "web.n1.t"

"""Values that the server adds to a service's spec: those that are stored, and those only shown on demand. Pure."""

from typing import Any, TypeVar

from swarmpy.models.base import DockerModel
from swarmpy.models.container import ContainerSpec, DNSConfig
from swarmpy.models.port import EndpointSpec, Protocol, PublishMode
from swarmpy.models.service import (
    FailureAction,
    Replicated,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
    UpdateOrder,
)
from swarmpy.models.task import RestartCondition, RestartPolicy, TaskSpec

Model = TypeVar("Model", bound=DockerModel)
_SECOND = 1_000_000_000


def with_stored_defaults(spec: ServiceSpec) -> ServiceSpec:
    """What the server writes into a spec on its way to the store. Doing it twice changes nothing.

    Networks of the spec itself, the place where Docker kept them before 1.25, move to the task template.
    """
    template = spec.task_template
    if spec.networks and not template.networks:
        template = template.model_copy(update={"networks": spec.networks})
    return spec.model_copy(
        update={
            "labels": spec.labels or {},
            "mode": _mode(spec.mode),
            "endpoint_spec": _endpoint(spec.endpoint_spec or EndpointSpec()),
            "task_template": _template(template),
            "networks": None,
        }
    )


def with_shown_defaults(spec: ServiceSpec) -> ServiceSpec:
    """For `insertDefaults=true`: also what applies where nothing was said."""
    is_job = bool(spec.mode.replicated_job or spec.mode.global_job)
    shown: dict[str, Any] = {"task_template": complete_template(spec.task_template, is_job=is_job)}
    if not is_job:
        shown["update_config"] = _complete_update(spec.update_config)
        shown["rollback_config"] = _complete_update(spec.rollback_config)
    return spec.model_copy(update=shown)


def complete_template(template: TaskSpec, *, is_job: bool) -> TaskSpec:
    """With every default written out: two templates that mean the same are equal in this form."""
    container = _filled(
        template.container_spec or ContainerSpec(), stop_grace_period=10 * _SECOND, dns_config=DNSConfig()
    )
    condition = RestartCondition.ON_FAILURE if is_job else RestartCondition.ANY
    restart = _filled(
        template.restart_policy or RestartPolicy(), condition=condition, delay=0, max_attempts=0, window=0
    )
    return template.model_copy(update={"container_spec": container, "restart_policy": restart})


def _complete_update(config: UpdateConfig | None) -> UpdateConfig:
    return _filled(
        config or UpdateConfig(),
        parallelism=1,
        failure_action=FailureAction.PAUSE,
        monitor=5 * _SECOND,
        max_failure_ratio=0.0,
        order=UpdateOrder.STOP_FIRST,
    )


def _mode(mode: ServiceMode) -> ServiceMode:
    if mode.replicated is not None:
        return mode.model_copy(update={"replicated": _filled(mode.replicated, replicas=1)})
    if mode.replicated_job is not None:
        job = _filled(mode.replicated_job, max_concurrent=1)
        return mode.model_copy(update={"replicated_job": _filled(job, total_completions=job.max_concurrent)})
    if mode.global_ is not None or mode.global_job is not None:
        return mode
    return ServiceMode(replicated=Replicated(replicas=1))


def _endpoint(endpoint: EndpointSpec) -> EndpointSpec:
    ports = endpoint.ports and tuple(
        _filled(port, protocol=Protocol.TCP, publish_mode=PublishMode.INGRESS) for port in endpoint.ports
    )
    return endpoint.model_copy(update={"mode": endpoint.mode or "vip", "ports": ports})


def _template(template: TaskSpec) -> TaskSpec:
    container = template.container_spec
    if container is not None:
        container = container.model_copy(update={"isolation": container.isolation or "default"})
    return template.model_copy(
        update={
            "container_spec": container,
            "runtime": template.runtime or "container",
            "force_update": template.force_update or 0,
        }
    )


def _filled(model: Model, **defaults: Any) -> Model:
    """The model with these values in fields that say nothing."""
    missing = {name: value for name, value in defaults.items() if getattr(model, name) is None}
    return model.model_copy(update=missing) if missing else model

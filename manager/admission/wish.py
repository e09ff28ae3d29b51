"""Whether a wish about a service is sound, and what it is once names stand for ids and nothing is left out. Pure."""

from manager.admission.coverage import refuse_unsupported
from manager.admission.defaults import with_stored_defaults
from manager.admission.depends import check_depends_on
from manager.admission.naming import naming
from manager.admission.network import find_network_target
from manager.admission.ports import check_ports
from manager.admission.secret_references import with_found_files
from manager.admission.template import check_template
from manager.admission.texts import check_texts
from manager.deadline import parse_deadline
from manager.state import State
from swarmpy import labels
from swarmpy.errors import BadRequest
from swarmpy.models.service import ServiceMode, ServiceSpec, UpdateConfig
from swarmpy.models.task import NetworkAttachmentConfig, TaskSpec

# Far beyond what a thousand nodes run of one service.
MOST_REPLICAS = 100_000
_MODES = ("replicated", "global_", "replicated_job", "global_job")


def checked(state: State, spec: ServiceSpec) -> ServiceSpec:
    """The spec as it may be stored: whole, sound, its networks, secrets and configs named by id."""
    with naming("service", spec.name):
        return _sound(state, spec)


def _sound(state: State, spec: ServiceSpec) -> ServiceSpec:
    refuse_unsupported(spec)
    check_texts(spec)
    _check_mode(spec.mode)
    if (deadline := (spec.labels or {}).get(labels.PROGRESS_DEADLINE)) is not None:
        parse_deadline(deadline)
    wish = with_stored_defaults(spec)
    check_template(wish.task_template)
    check_ports(wish.endpoint_spec, wish.mode)
    check_depends_on(state, wish.name or "", wish.labels or {})
    for name, config in (("UpdateConfig", wish.update_config), ("RollbackConfig", wish.rollback_config)):
        _check_update_config(name, config, is_job=is_job(wish.mode))
    return with_found(state, wish)


def with_found(state: State, wish: ServiceSpec) -> ServiceSpec:
    return wish.model_copy(update={"task_template": _resolved(state, wish.task_template)})


def _resolved(state: State, template: TaskSpec) -> TaskSpec:
    container = template.container_spec
    found = {
        "networks": _resolved_networks(state, template.networks),
        "container_spec": container and with_found_files(state, container),
    }
    return template.model_copy(update=found)


def is_job(mode: ServiceMode) -> bool:
    return mode.replicated_job is not None or mode.global_job is not None


def mode_of(mode: ServiceMode) -> str:
    return next(name for name in _MODES if getattr(mode, name) is not None)


def _check_mode(mode: ServiceMode) -> None:
    chosen = [name for name in _MODES if getattr(mode, name) is not None]
    if len(chosen) > 1:
        raise BadRequest(f"Mode: exactly one must be set, not {len(chosen)}")
    if mode.replicated is not None:
        _check_count("Mode.Replicated.Replicas", mode.replicated.replicas or 0)
    if mode.replicated_job is not None:
        _check_count("Mode.ReplicatedJob.MaxConcurrent", mode.replicated_job.max_concurrent or 0)
        _check_count("Mode.ReplicatedJob.TotalCompletions", mode.replicated_job.total_completions or 0)


def _check_count(field: str, count: int) -> None:
    """Each replica has a record, also one that no node has room for."""
    if not 0 <= count <= MOST_REPLICAS:
        raise BadRequest(f"{field} must be between 0 and {MOST_REPLICAS}, and {count} is not")


def _check_update_config(name: str, config: UpdateConfig | None, *, is_job: bool) -> None:
    if config is None:
        return
    if is_job:
        raise BadRequest(f"{name}: a job is not updated in steps; leave it out")
    for field in ("parallelism", "delay", "monitor"):
        value = getattr(config, field)
        if value is not None and value < 0:
            raise BadRequest(f"{name}.{field.title()} must not be negative")
    if config.max_failure_ratio is not None and not 0 <= config.max_failure_ratio <= 1:
        raise BadRequest(f"{name}.MaxFailureRatio must be between 0 and 1")
    if name == "RollbackConfig" and config.failure_action == "rollback":
        raise BadRequest("RollbackConfig.FailureAction: a rollback cannot be rolled back; use pause or continue")


def _resolved_networks(
    state: State, wished: tuple[NetworkAttachmentConfig, ...] | None
) -> tuple[NetworkAttachmentConfig, ...] | None:
    if not wished:
        return wished
    resolved = tuple(
        attachment.model_copy(update={"target": find_network_target(state, attachment.target or "").id})
        for attachment in wished
    )
    if len({attachment.target for attachment in resolved}) < len(resolved):
        raise BadRequest("TaskTemplate.Networks: a network is named twice")
    return resolved

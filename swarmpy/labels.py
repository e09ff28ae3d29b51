"""Labels that carry what Docker's documents have no field for. Pure.

Labels, because every client of Docker's API sends them back as it read them; a field of ours would be lost there.
"""

# Of a container's spec: options of the host, as JSON with the engine's own names (`swarmpy.models.host`).
HOST = "swarmpy.host"
# Of a service: JSON, from the name of another service to the condition that a start waits for.
DEPENDS_ON = "swarmpy.depends-on"
# Of a service: a duration; a renewed task that does not run by then counts as failed.
PROGRESS_DEADLINE = "swarmpy.progress-deadline"
# Of a volume, "true": a task that uses it goes where it is.
VOLUME_AFFINITY = "swarmpy.volume-affinity"
# Of the cluster: words, with commas between, of the host options that services may ask for.
ALLOW = "swarmpy.allow"
# Of the cluster: a duration; a node that is silent for longer counts as down.
NODE_GRACE = "swarmpy.node-grace"

"""Where a lab keeps what it has, and the plan of it, which is written before anything is made.

Owns the folders. What is in a node's disk is the node's.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from swarmpy.errors import NotFound
from swarmpy.files import write_private
from swarmpy.lab.plan import LabNode, LabPlan

DISKS = Path("/var/lib/swarmpy-lab")
# Sockets want short paths.
RUN = Path("/run/swarmpy-lab")
_PLAN = "lab.json"


class Folders:
    def __init__(self, lab: str) -> None:
        self.lab = lab
        self.disks = DISKS / lab
        self.run = RUN / lab

    def disk(self, node: LabNode) -> Path:
        """What the node sees as /var/lib. Outlives `kill`."""
        return self.disks / node.name

    def run_of(self, node: LabNode) -> Path:
        """What the node sees as /run."""
        return self.run / node.name

    def log(self, node: LabNode, what: str) -> Path:
        return self.disks / f"{node.name}.{what}.log"

    def engine_socket(self, node: LabNode) -> Path:
        return self.run_of(node) / "docker.sock"

    def api_socket(self, node: LabNode) -> Path:
        """There on managers only."""
        return self.run_of(node) / "swarmpy" / "swarmpy.sock"

    def ready_file(self, node: LabNode) -> Path:
        return self.run_of(node) / "swarmpy" / "agent.ready"

    def write_plan(self, plan: LabPlan) -> None:
        for folder in (self.disks, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.disks / _PLAN, json.dumps(asdict(plan)))

    def read_plan(self) -> LabPlan:
        """Raises `NotFound` when there is no such lab."""
        try:
            kept = json.loads((self.disks / _PLAN).read_text())
        except FileNotFoundError:
            raise NotFound(f"there is no lab {self.lab}: `swarmpy lab up` makes one") from None
        return LabPlan(kept["name"], kept["subnet"], tuple(LabNode(**node) for node in kept["nodes"]))

    def remove(self) -> None:
        for folder in (self.disks, self.run):
            shutil.rmtree(folder, ignore_errors=True)
        for parent in (DISKS, RUN):
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()

"""The certificates of a cluster's nodes, in files, signed by a CA of the test's own."""

from datetime import timedelta
from pathlib import Path

from swarmpy.clock import SystemClock
from swarmpy.pki import Authority, Credentials, Identity, new_key, request_for
from swarmpy.states import Role

DAY = timedelta(days=1)


class ClusterCa:
    def __init__(self, folder: Path, cluster_id: str = "cluster1") -> None:
        self._clock = SystemClock()
        self._folder = folder / cluster_id
        self._folder.mkdir()
        self.authority = Authority.create(cluster_id, self._clock.now())
        self.cluster_id = cluster_id
        self.ca_file = self._folder / "ca.crt"
        self.ca_file.write_text(self.authority.certificate)

    def node(self, node_id: str, role: Role, *, ended: bool = False) -> Credentials:
        """Issued anew at each call, into the same files. `ended`: its time was over yesterday."""
        key = new_key()
        identity = Identity(node_id, role, self.cluster_id)
        issued = self._clock.now() - 2 * DAY if ended else self._clock.now()
        return self._keep(node_id, self.authority.issue(request_for(key), identity, issued, DAY), key)

    def manager(self, node_id: str) -> Credentials:
        return self.node(node_id, Role.MANAGER)

    def worker(self, node_id: str) -> Credentials:
        return self.node(node_id, Role.WORKER)

    def etcd(self) -> Credentials:
        key = new_key()
        certificate = self.authority.issue_for_etcd(request_for(key), "127.0.0.1", self._clock.now(), DAY)
        return self._keep("etcd", certificate, key)

    def _keep(self, name: str, certificate: str, key: str) -> Credentials:
        kept = Credentials(self.ca_file, self._folder / f"{name}.crt", self._folder / f"{name}.key")
        kept.cert_file.write_text(certificate)
        kept.key_file.write_text(key)
        return kept

"""The real lab: two single-node Ceph clusters, rbd-mirror and sshd on one machine, loopback only."""

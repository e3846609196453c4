"""What the portal uses to reach a site: SSH, Ceph (`rbd`) and OpenNebula.

No Django in here, and nothing of the engine.
"""

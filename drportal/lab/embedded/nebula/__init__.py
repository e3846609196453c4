"""The OpenNebula half of the embedded lab: one XML-RPC front end per site, speaking as OpenNebula 7.5.80 does."""

from __future__ import annotations

from .agenda import Timings
from .networks import NetworkSpec
from .site import NebulaSite

__all__ = ["NebulaSite", "NetworkSpec", "Timings"]

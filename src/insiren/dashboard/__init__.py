"""A small local web page over the snapshots of a fit that follows a measurement."""

from insiren.dashboard.serve import DashboardError, serve

__all__ = ["DashboardError", "serve"]

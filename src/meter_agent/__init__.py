"""The sidecar: makes usage durable beside the service and ships it exactly once."""

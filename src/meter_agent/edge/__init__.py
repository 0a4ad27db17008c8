"""What callers of the agent see: the gRPC service, its addresses, health and reflection."""

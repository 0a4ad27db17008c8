"""What agents call: gRPC, authenticated by token."""

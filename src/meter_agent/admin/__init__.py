"""What an operator looks at: metrics, liveness and readiness on a port of their own."""

"""The HTTP API under `/v1`: authentication, problems, pages, and one file a resource."""

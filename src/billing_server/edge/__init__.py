"""The edges of the server: gRPC for agents, HTTP for people and programs."""

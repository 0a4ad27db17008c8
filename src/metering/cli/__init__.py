"""The developer's tool `meter`: records single events and replays traces through the SDK."""

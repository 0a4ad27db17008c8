"""Sessions of agents: who stands where, as pure decisions."""

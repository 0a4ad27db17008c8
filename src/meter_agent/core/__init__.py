"""Pure state machines of the agent: no I/O, no clock, no randomness; all of it is handed in."""

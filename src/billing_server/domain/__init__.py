"""The pure rules of billing: no input or output, no clock, no randomness."""

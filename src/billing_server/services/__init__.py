"""The use cases, one file each: they open a unit of work and call the domain."""

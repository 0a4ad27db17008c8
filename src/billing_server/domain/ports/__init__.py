"""What the use cases need from a store, as protocols: the store implements them.

Owns the shape of each repository and the small records that only storage needs. Does not own how
rows are kept, nor transactions beyond the unit of work. Every method runs inside one unit of work
and sees what that unit of work has written.
"""

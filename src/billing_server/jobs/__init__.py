"""Work that falls due by itself: the scheduler and what it runs."""

"""Who buys what, and how a subscription is cut into billing periods."""

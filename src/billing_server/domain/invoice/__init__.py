"""From rated usage and fees to invoices whose parts always add up."""

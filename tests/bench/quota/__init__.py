"""The overspend experiment: leases beside the two common designs, under partitions and kills."""

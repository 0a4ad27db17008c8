"""What is sold: meters, plans, prices; read from a file, compared, and stored."""

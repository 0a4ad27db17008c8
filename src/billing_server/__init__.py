"""The server: rates usage as it arrives and turns it into invoices."""

"""Generated stubs of proto/metering/api/v1; never edited."""

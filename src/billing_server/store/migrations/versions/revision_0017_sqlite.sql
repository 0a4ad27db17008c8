DROP INDEX ix_usage_event_quarantined;
CREATE INDEX ix_usage_event_waiting ON usage_event (customer_id, event_id) WHERE quarantine_reason != 'DISCARDED';
ALTER TABLE usage_conflict ADD COLUMN discard_time INTEGER;

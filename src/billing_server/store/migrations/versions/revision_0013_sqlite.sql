DROP INDEX ix_lease_agent;
CREATE INDEX ix_lease_agent ON lease (agent_ref) WHERE state <> 'closed' OR told_in IS NULL OR told_in <> 0;

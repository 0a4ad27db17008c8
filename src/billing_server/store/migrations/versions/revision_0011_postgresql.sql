ALTER TABLE limit_account ADD COLUMN free_tokens BIGINT;
ALTER TABLE limit_account ADD COLUMN free_rate BIGINT;
ALTER TABLE limit_account ADD COLUMN free_burst BIGINT;
ALTER TABLE limit_account ADD COLUMN free_time BIGINT;

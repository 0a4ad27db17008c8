ALTER TABLE limit_account ADD COLUMN free_tokens INTEGER;
ALTER TABLE limit_account ADD COLUMN free_rate INTEGER;
ALTER TABLE limit_account ADD COLUMN free_burst INTEGER;
ALTER TABLE limit_account ADD COLUMN free_time INTEGER;

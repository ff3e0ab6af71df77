-- As Postgres has it; the comments stand there.

ALTER TABLE api_keys ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;
ALTER TABLE api_keys ADD COLUMN previous_sha256 BLOB
    CHECK (previous_sha256 IS NULL OR length(previous_sha256) = 32);
ALTER TABLE api_keys ADD COLUMN previous_until INTEGER;
CREATE INDEX users_by_time ON users (created_at, id);

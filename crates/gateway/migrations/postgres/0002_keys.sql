-- What a key may be used for, its rotation, and when it was last used.

ALTER TABLE api_keys
    -- JSON: scopes, models, ips, limits, end_user_header, in_path.
    ADD COLUMN settings text NOT NULL DEFAULT '{}',
    -- About a minute behind.
    ADD COLUMN last_used_at timestamptz,
    -- The secret before a rotation opens as well until then.
    ADD COLUMN previous_sha256 bytea
        CONSTRAINT api_keys_previous_form CHECK (length(previous_sha256) = 32),
    ADD COLUMN previous_until timestamptz;
CREATE INDEX users_by_time ON users (created_at, id);

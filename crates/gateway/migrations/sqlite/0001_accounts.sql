-- The same tables as Postgres has; the comments stand there. Ids of users are 16 bytes, times are
-- microseconds since 1970.

CREATE TABLE schema_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL DEFAULT (unixepoch() * 1000000)
) STRICT;

CREATE TABLE users (
    id BLOB PRIMARY KEY NOT NULL,
    email TEXT UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    password_hash TEXT,
    created_at INTEGER NOT NULL
) STRICT;
INSERT INTO users (id, role, created_at)
VALUES (x'000000000000700080006f7065726174', 'admin', unixepoch() * 1000000);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 12),
    owner BLOB NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);
CREATE INDEX api_keys_by_owner ON api_keys (owner, created_at, id);

CREATE TABLE setup_tokens (
    sha256 BLOB PRIMARY KEY NOT NULL CHECK (length(sha256) = 32),
    created_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT;

CREATE TABLE idempotency (
    caller BLOB NOT NULL REFERENCES users (id),
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    object_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (caller, route, key)
) STRICT;
CREATE INDEX idempotency_by_time ON idempotency (created_at);

CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE change_counter (
    the_row INTEGER PRIMARY KEY CHECK (the_row = 1),
    last INTEGER NOT NULL
) STRICT;
INSERT INTO change_counter (the_row, last) VALUES (1, 0);

CREATE TABLE deployment (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT;

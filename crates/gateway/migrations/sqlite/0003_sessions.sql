-- As Postgres has it; the comments stand there.

CREATE TABLE teams (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    limits TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX teams_by_time ON teams (created_at, id);

ALTER TABLE users ADD COLUMN team BLOB REFERENCES teams (id) ON DELETE SET NULL;
ALTER TABLE users ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN last_seen_at INTEGER;
CREATE INDEX users_by_team ON users (team);

CREATE TABLE sessions (
    id BLOB PRIMARY KEY NOT NULL,
    user_id BLOB NOT NULL REFERENCES users (id),
    grant_kind TEXT NOT NULL CHECK (grant_kind IN ('cookie', 'bearer')),
    refresh_sha256 BLOB NOT NULL CHECK (length(refresh_sha256) = 32),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    device TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at);

CREATE TABLE superseded_tokens (
    sha256 BLOB PRIMARY KEY NOT NULL CHECK (length(sha256) = 32),
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX superseded_tokens_by_session ON superseded_tokens (session_id);

CREATE TABLE links (
    id BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('invite', 'reset')),
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    email TEXT,
    role TEXT CHECK (role IN ('admin', 'member')),
    team BLOB REFERENCES teams (id) ON DELETE SET NULL,
    user_id BLOB REFERENCES users (id),
    made_by BLOB NOT NULL REFERENCES users (id),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    withdrawn_at INTEGER
) STRICT;
CREATE INDEX links_by_time ON links (created_at, id);
CREATE INDEX links_by_user ON links (user_id);
CREATE INDEX links_by_maker ON links (made_by);
CREATE INDEX links_by_expiry ON links (expires_at);

CREATE TABLE audit (
    id BLOB PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    object TEXT,
    outcome TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id BLOB,
    count INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_actor ON audit (actor, at, id);

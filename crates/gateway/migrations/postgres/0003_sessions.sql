-- Teams, sessions, one-time links, and who did what.

CREATE TABLE teams (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT teams_name_unique UNIQUE,
    -- JSON, as a key's.
    limits text NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL
);
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
CREATE INDEX teams_by_time ON teams (created_at, id);

ALTER TABLE users
    ADD COLUMN team uuid CONSTRAINT users_team REFERENCES teams (id) ON DELETE SET NULL,
    ADD COLUMN limits text NOT NULL DEFAULT '{}',
    -- When they last signed in, stayed signed in or used a key; about a minute behind.
    ADD COLUMN last_seen_at timestamptz;
CREATE INDEX users_by_team ON users (team);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT sessions_user REFERENCES users (id),
    grant_kind text NOT NULL
        CONSTRAINT sessions_grant CHECK (grant_kind IN ('cookie', 'bearer')),
    -- Of the refresh token that opens it now.
    refresh_sha256 bytea NOT NULL
        CONSTRAINT sessions_refresh_form CHECK (length(refresh_sha256) = 32),
    created_at timestamptz NOT NULL,
    -- When its tokens were last drawn.
    last_used_at timestamptz NOT NULL,
    -- It ends then, however often it is used.
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- The user agent that signed in, and from where it was last used.
    device text NOT NULL,
    address text NOT NULL
);
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at);

-- Refresh tokens that were replaced a moment ago: tabs that race aren't thieves.
CREATE TABLE superseded_tokens (
    sha256 bytea PRIMARY KEY
        CONSTRAINT superseded_tokens_form CHECK (length(sha256) = 32),
    session_id uuid NOT NULL
        CONSTRAINT superseded_tokens_session REFERENCES sessions (id) ON DELETE CASCADE,
    at timestamptz NOT NULL
);
ALTER TABLE superseded_tokens ENABLE ROW LEVEL SECURITY;
CREATE INDEX superseded_tokens_by_session ON superseded_tokens (session_id);

-- One-time links: to register by an invitation, to set another password.
CREATE TABLE links (
    id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT links_kind CHECK (kind IN ('invite', 'reset')),
    sha256 bytea NOT NULL CONSTRAINT links_token_unique UNIQUE
        CONSTRAINT links_form CHECK (length(sha256) = 32),
    -- An invitation's: for whom, as what.
    email text,
    role text CONSTRAINT links_role CHECK (role IN ('admin', 'member')),
    team uuid CONSTRAINT links_team REFERENCES teams (id) ON DELETE SET NULL,
    -- A reset's: whose password.
    user_id uuid CONSTRAINT links_user REFERENCES users (id),
    -- Whoever is no administrator any more has made none that works.
    made_by uuid NOT NULL CONSTRAINT links_maker REFERENCES users (id),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Somebody registered by it, or set their password.
    used_at timestamptz,
    -- It was taken back, or what it was for is over.
    withdrawn_at timestamptz
);
ALTER TABLE links ENABLE ROW LEVEL SECURITY;
CREATE INDEX links_by_time ON links (created_at, id);
CREATE INDEX links_by_user ON links (user_id);
CREATE INDEX links_by_maker ON links (made_by);
CREATE INDEX links_by_expiry ON links (expires_at);

-- Every administrative act and every sign-in, good or bad.
CREATE TABLE audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    -- `operator`, a subject, or `anonymous`.
    actor text NOT NULL,
    act text NOT NULL,
    -- Upon what.
    object text,
    -- `ok`, or the refusal's code.
    outcome text NOT NULL,
    address text NOT NULL,
    request_id uuid,
    -- Equal ones of a moment are one.
    count integer NOT NULL
);
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_actor ON audit (actor, at, id);

-- The whole schema of Fluxgate's accounts database, for a Postgres that is made by hand
-- (Supabase: paste it into the SQL editor). The gateway recognises it as current and changes
-- nothing; on an empty database it would make the same by itself, from
-- crates/gateway/migrations/postgres. Run it as the role by which the gateway will connect.

BEGIN;
-- Gateways that start meanwhile wait until it is done.
SELECT pg_advisory_xact_lock(7380403049344365669);

-- Accounts: users, their keys, and what replicas tell each other. Times come from the gateway.
-- Row security keeps the tables from whoever else has a role in the database (Supabase serves
-- everything in `public` to its anonymous one); it doesn't bind their owner, who is the gateway.

CREATE TABLE schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    -- In small letters. Only the built-in user `operator` has none.
    email text CONSTRAINT users_email_unique UNIQUE,
    role text NOT NULL CONSTRAINT users_role CHECK (role IN ('admin', 'member')),
    state text NOT NULL DEFAULT 'active'
        CONSTRAINT users_state CHECK (state IN ('active', 'disabled')),
    -- A PHC string. Without one nobody can log in as that user.
    password_hash text,
    created_at timestamptz NOT NULL
);
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
-- The owner of the keys that the operator makes without naming a user.
INSERT INTO users (id, role, created_at)
VALUES ('00000000-0000-7000-8000-6f7065726174', 'admin', now());

CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY CONSTRAINT api_keys_id_form CHECK (length(id) = 12),
    owner uuid NOT NULL CONSTRAINT api_keys_owner REFERENCES users (id),
    name text NOT NULL,
    secret_sha256 bytea NOT NULL
        CONSTRAINT api_keys_secret_form CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);
CREATE INDEX api_keys_by_owner ON api_keys (owner, created_at, id);

-- One-time tokens of links by which the first administrator sets up the gateway.
CREATE TABLE setup_tokens (
    sha256 bytea PRIMARY KEY CONSTRAINT setup_tokens_form CHECK (length(sha256) = 32),
    created_at timestamptz NOT NULL,
    used_at timestamptz
);
ALTER TABLE setup_tokens ENABLE ROW LEVEL SECURITY;

-- What was created under an Idempotency-Key.
CREATE TABLE idempotency (
    caller uuid NOT NULL CONSTRAINT idempotency_caller REFERENCES users (id),
    route text NOT NULL,
    key text NOT NULL,
    object_id text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (caller, route, key)
);
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
CREATE INDEX idempotency_by_time ON idempotency (created_at);

-- By which other replicas learn what to read anew. Ids come from change_counter, whose row stays
-- locked until the writer commits: a reader never sees an id before a smaller one.
CREATE TABLE changes (
    id bigint PRIMARY KEY,
    kind text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL
);
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE change_counter (
    the_row smallint PRIMARY KEY CONSTRAINT change_counter_one_row CHECK (the_row = 1),
    last bigint NOT NULL
);
ALTER TABLE change_counter ENABLE ROW LEVEL SECURITY;
INSERT INTO change_counter (the_row, last) VALUES (1, 0);

-- What the deployment made once: its secret, its first key.
CREATE TABLE deployment (
    name text PRIMARY KEY,
    value bytea NOT NULL
);
ALTER TABLE deployment ENABLE ROW LEVEL SECURITY;

INSERT INTO schema_migrations (version, name) VALUES (1, 'accounts');

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

INSERT INTO schema_migrations (version, name) VALUES (2, 'keys');

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

INSERT INTO schema_migrations (version, name) VALUES (3, 'sessions');
COMMIT;

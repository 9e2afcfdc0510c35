CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('applied', 0), ('users', 0);

CREATE TABLE user(
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL COLLATE NOCASE UNIQUE,
    name TEXT NOT NULL,
    email TEXT,
    department TEXT,
    password_hash TEXT,
    disabled INTEGER NOT NULL DEFAULT 0,
    -- The name of the picture, if there is one.
    avatar TEXT,
    -- Tokens that were signed before this moment are refused, whatever session they name.
    tokens_since INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- Messages to everyone are meant for this user when they stand after this place.
    created_pos INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE groups(
    kind TEXT NOT NULL CHECK(kind IN ('role', 'channel', 'department')),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    channel_kind TEXT NOT NULL CHECK(channel_kind IN ('public', 'private', 'system')),
    member_count INTEGER NOT NULL DEFAULT 0,
    -- The department above.
    parent TEXT,
    PRIMARY KEY(kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX groups_parent ON groups(parent) WHERE parent IS NOT NULL;

-- Who looks after a channel or a department.
CREATE TABLE owner(
    kind TEXT NOT NULL, group_id TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY(kind, group_id, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX owner_user ON owner(user);

-- Who was a member when, as intervals of places in the log: a message at `pos` is meant for those
-- with from_pos < pos and (to_pos is null or pos < to_pos). Whoever is in a department is
-- in those above it too.
CREATE TABLE membership(
    user TEXT NOT NULL,
    kind TEXT NOT NULL,
    group_id TEXT NOT NULL,
    from_pos INTEGER NOT NULL,
    to_pos INTEGER,
    PRIMARY KEY(user, kind, group_id, from_pos)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_group ON membership(kind, group_id, user);
CREATE INDEX membership_now ON membership(kind, group_id, user) WHERE to_pos IS NULL;

CREATE TABLE service(
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    service_type TEXT NOT NULL CHECK(service_type IN ('internal', 'external', 'system')),
    owner TEXT,
    status TEXT NOT NULL CHECK(status IN ('active', 'pending', 'disabled', 'suspended')),
    -- Words, one a line; those of its type where there are none.
    permissions TEXT,
    -- Messages a minute.
    rate_limit INTEGER,
    -- Who gets what names nobody: one a line.
    default_recipients TEXT NOT NULL,
    -- Where it is told of presses, and what signs that; the secret before this one signs beside it until then.
    callback_url TEXT,
    callback_secret TEXT NOT NULL,
    callback_secret_before TEXT,
    callback_secret_before_until INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE service_key(
    prefix TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- When it ends, once another has taken its place.
    until INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX service_key_service ON service_key(service);

-- What was pressed, by message and reader.
CREATE TABLE press(
    message_id TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    action TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- Whether it counts for all who have the message.
    shared INTEGER NOT NULL,
    PRIMARY KEY(message_id, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX press_at ON press(at);
CREATE INDEX press_user ON press(user);

-- Messages that were taken back: they cannot be answered any more.
CREATE TABLE recalled(message_id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX recalled_at ON recalled(at);

-- What services are to be told, by the places of the records that it is about.
CREATE TABLE callback(
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    message_id TEXT NOT NULL,
    -- Who it is about.
    user TEXT NOT NULL,
    -- JSON.
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('due', 'delivered', 'dead')),
    tries INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    last_outcome TEXT
) STRICT;
CREATE INDEX callback_due ON callback(service, next_at) WHERE state = 'due';
CREATE INDEX callback_next ON callback(next_at) WHERE state = 'due';
CREATE INDEX callback_user ON callback(user);
CREATE INDEX callback_failed ON callback(service) WHERE state = 'due' AND tries > 0;
CREATE INDEX callback_over ON callback(next_at) WHERE state <> 'due';

-- Templates as JSON: as they are now, and every version that there ever was.
CREATE TABLE template(id TEXT PRIMARY KEY, category TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE template_version(
    id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(id, version)
) STRICT, WITHOUT ROWID;

-- The last message that a sender sent under a thread key.
CREATE TABLE thread(
    owner TEXT NOT NULL, key TEXT NOT NULL, message_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_at ON thread(at);

-- Messages that are to be sent at a time, as JSON.
CREATE TABLE schedule(
    id TEXT PRIMARY KEY,
    due INTEGER NOT NULL,
    -- Whose it is: `service:…` or `user:…`.
    owner TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_due ON schedule(due, id);
CREATE INDEX schedule_owner ON schedule(owner, due, id);

CREATE TABLE session(
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    device TEXT NOT NULL,
    device_type TEXT NOT NULL,
    device_name TEXT NOT NULL,
    provider TEXT NOT NULL,
    -- Where its refresh token is kept, and from where it was last used.
    kept TEXT NOT NULL CHECK(kept IN ('client', 'cookie', 'nowhere')),
    address TEXT,
    -- Of what its refresh tokens have in common, and of the one that is good.
    family_hash TEXT NOT NULL,
    refresh_hash TEXT NOT NULL,
    -- The one before it, and until when that is still taken.
    replaced_hash TEXT,
    replaced_until INTEGER,
    created_at INTEGER NOT NULL,
    refreshed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session(user, created_at);
CREATE INDEX session_expires ON session(expires_at);

-- Tokens that people made for scripts; the id is in the name space of sessions.
CREATE TABLE token(
    prefix TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Words, one a line.
    scopes TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_user ON token(user, created_at);

-- Who users are at providers.
CREATE TABLE identity(
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    provider TEXT NOT NULL,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- For people to see.
    name TEXT NOT NULL,
    email TEXT,
    linked_at INTEGER NOT NULL,
    UNIQUE(provider, tenant, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_user ON identity(user, linked_at);

-- One-time links, one a user.
CREATE TABLE link(user TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Second factors, and what takes their place once.
CREATE TABLE totp(user TEXT PRIMARY KEY, secret TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE recovery(user TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY(user, hash)) STRICT, WITHOUT ROWID;

CREATE TABLE passkey(
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    -- JSON.
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_user ON passkey(user, created_at);

-- Pictures, by their names.
CREATE TABLE avatar(user TEXT PRIMARY KEY, name TEXT NOT NULL, picture BLOB NOT NULL) STRICT;
CREATE INDEX avatar_name ON avatar(name);

-- Sessions that were ended, for as long as one of their access tokens could still be valid.
CREATE TABLE revoked(session TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_until ON revoked(until);

CREATE TABLE audit(
    pos INTEGER NOT NULL,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY(pos, n)
) STRICT, WITHOUT ROWID;

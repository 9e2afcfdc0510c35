-- A person's messages, in the order in which everyone sees things.
CREATE TABLE message(
    pos INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    channel_id TEXT,
    title TEXT NOT NULL,
    content TEXT NOT NULL,
    message_type TEXT NOT NULL,
    priority INTEGER NOT NULL,
    sender TEXT NOT NULL,
    -- JSON
    sender_info TEXT NOT NULL,
    -- Milliseconds since 1970.
    created_at INTEGER NOT NULL,
    expire_at INTEGER,
    -- JSON, NULL when empty.
    metadata TEXT,
    attachments TEXT,
    actions TEXT,
    -- The message whose place it has taken, and the sender's name for what it is about.
    replaces TEXT,
    thread_key TEXT,
    -- What was pressed, as JSON.
    pressed TEXT
) STRICT;
CREATE INDEX message_channel ON message(channel_id) WHERE channel_id IS NOT NULL;
CREATE INDEX message_expire ON message(expire_at) WHERE expire_at IS NOT NULL;

-- What happened to messages after they were sent, by its places in the delivery log: taken back by their senders,
-- or, where there is something in `pressed`, pressed. For clients that still show what was before.
CREATE TABLE amended(
    pos INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    replaced_by TEXT,
    pressed TEXT
) STRICT;
CREATE INDEX amended_at ON amended(at);

-- How many messages each channel has; '' stands for those without a channel.
CREATE TABLE total(channel_id TEXT PRIMARY KEY, messages INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- applied: the last place in the delivery log that this file has taken in; restored: where a backup was last put into it.
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('applied', 0), ('restored', 0);
PRAGMA user_version = 1;

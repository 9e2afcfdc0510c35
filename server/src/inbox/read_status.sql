-- What the person did with the messages; a message without a row here is unread.
CREATE TABLE status(
    -- The message's place.
    pos INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    channel_id TEXT,
    is_read INTEGER NOT NULL,
    -- Milliseconds since 1970.
    read_at INTEGER,
    -- The person's number of this change, and when and from where it came.
    version INTEGER NOT NULL UNIQUE,
    changed_at INTEGER NOT NULL,
    device_id TEXT
) STRICT;

-- How many messages of each channel are read; '' stands for those without a channel.
CREATE TABLE total(channel_id TEXT PRIMARY KEY, messages INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- applied: the last place in the delivery log that this file has taken in; version: the person's last number.
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('applied', 0), ('version', 0);
PRAGMA user_version = 1;

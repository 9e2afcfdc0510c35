-- What a backup has besides the tables of an inbox. Version 1 of the format.

-- What this file is, a line each: see `About` for the keys.
CREATE TABLE about(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- The person's devices: how far each had got, and when it was last seen.
CREATE TABLE device(
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    cursor TEXT NOT NULL,
    -- RFC 3339, UTC.
    last_seen TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What the inbox shows, for people with a question: SELECT * FROM inbox WHERE NOT is_read;
CREATE VIEW inbox AS
SELECT m.id, strftime('%Y-%m-%dT%H:%M:%fZ', m.created_at / 1000.0, 'unixepoch') AS created_at,
    m.sender_info ->> '$.name' AS sender, m.channel_id AS channel, m.title, m.content,
    m.message_type AS type, m.priority, coalesce(s.is_read, 0) AS is_read,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.read_at / 1000.0, 'unixepoch') AS read_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.expire_at / 1000.0, 'unixepoch') AS expire_at,
    m.attachments, m.actions, m.metadata, m.pos
FROM message m LEFT JOIN status s ON s.pos = m.pos ORDER BY m.pos DESC;

PRAGMA user_version = 1;

CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Through which place of which log it is counted.
INSERT INTO meta VALUES('epoch', 0), ('through', 0);

-- How many have read the message at a place.
CREATE TABLE reads(pos INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;

-- Messages taken back, by their places, and what took their places.
CREATE TABLE recalled(pos INTEGER PRIMARY KEY, replaced_by TEXT) STRICT;

-- The last place that was handed to one of a person's devices, and where the person came in.
CREATE TABLE reach(user TEXT PRIMARY KEY, pos INTEGER NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX reach_pos ON reach(pos, since);

-- What happened in the hour that begins at a time, in milliseconds since 1970.
CREATE TABLE hour(
    at INTEGER PRIMARY KEY,
    messages INTEGER NOT NULL DEFAULT 0,
    recipients INTEGER NOT NULL DEFAULT 0,
    reads INTEGER NOT NULL DEFAULT 0,
    presses INTEGER NOT NULL DEFAULT 0,
    recalls INTEGER NOT NULL DEFAULT 0,
    sign_ins INTEGER NOT NULL DEFAULT 0
) STRICT;

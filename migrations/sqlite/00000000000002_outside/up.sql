-- What outside parties gave or took: nothing of it is hashed, and nothing of the record depends on it.

-- Cosignatures of witnesses on checkpoints, as signature lines of the note (with the line feed). `time` is the witness's,
-- in seconds since 1970.
CREATE TABLE cosignature (
    size INTEGER NOT NULL,
    name TEXT NOT NULL,
    key_id BLOB NOT NULL,
    line TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (size, name, key_id)
) STRICT, WITHOUT ROWID;

-- Checkpoints that lie at an anchor. `time` is this machine's, in microseconds since 1970.
CREATE TABLE anchor (
    place TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (place, size)
) STRICT, WITHOUT ROWID;

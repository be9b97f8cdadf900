-- Who may do what on this server. Times are microseconds since 1970, ids are 16 random bytes.
-- No token, no case id and no content is ever written here: tokens by SHA-256, cases by keyed hash.

-- Moves by one with every change below; caches compare it, writers swap it.
CREATE TABLE access_generation (
    one        INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
    generation INTEGER NOT NULL CHECK (generation >= 0)
) STRICT;
INSERT INTO access_generation (one, generation) VALUES (1, 0);

CREATE TABLE principal (
    id      BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name    TEXT NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE access_grant (
    id        BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    principal BLOB NOT NULL REFERENCES principal (id),
    role      TEXT NOT NULL,
    scope     TEXT NOT NULL CHECK (json_valid(scope)),
    created   INTEGER NOT NULL,
    expires   INTEGER,
    ended     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_grant_by_principal ON access_grant (principal);

CREATE TABLE token (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    principal   BLOB NOT NULL REFERENCES principal (id),
    digest      BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created     INTEGER NOT NULL,
    expires     INTEGER,
    revoked     INTEGER,
    rotated     INTEGER,
    replaced_by BLOB REFERENCES token (id) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;
CREATE INDEX token_by_principal ON token (principal);

-- The outbox: what each change was, written with it, until every ledger that it concerns has an entry for it.
CREATE TABLE principal_change (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    time         INTEGER NOT NULL,
    by_principal BLOB REFERENCES principal (id),
    kind         TEXT NOT NULL,
    principal    BLOB NOT NULL REFERENCES principal (id),
    details      TEXT NOT NULL CHECK (json_valid(details)),
    all_ledgers  INTEGER NOT NULL CHECK (all_ledgers IN (0, 1))
) STRICT;

CREATE TABLE principal_change_ledger (
    change INTEGER NOT NULL REFERENCES principal_change (seq),
    ledger TEXT NOT NULL,
    PRIMARY KEY (change, ledger)
) STRICT, WITHOUT ROWID;

CREATE TABLE principal_change_recorded (
    change INTEGER NOT NULL REFERENCES principal_change (seq),
    ledger TEXT NOT NULL,
    PRIMARY KEY (change, ledger)
) STRICT, WITHOUT ROWID;

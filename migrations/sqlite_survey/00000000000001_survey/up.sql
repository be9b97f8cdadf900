-- Findings of every case of one ledger, derived from it: nothing here is the record, and the file may be deleted at any
-- time. No content: codes, positions, pseudonyms and keyed images only.

-- What the rows were judged against, and how far. `tip` is the leaf hash of the entry at `size - 1`.
CREATE TABLE survey (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    profile BLOB NOT NULL,
    judge TEXT NOT NULL,
    size INTEGER NOT NULL,
    tip BLOB NOT NULL
) STRICT;

-- A case and its verdicts, judged with all entries below `size`. `failed` says why it could not be judged.
CREATE TABLE judged_case (
    pseudonym BLOB PRIMARY KEY NOT NULL,
    size INTEGER NOT NULL,
    elements TEXT,
    controls TEXT,
    failed TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX judged_case_failed ON judged_case (failed) WHERE failed IS NOT NULL;

-- A finding. `newest` is the newest entry that it rests on, else the case's last; `occurred` and `recorded` are that
-- entry's, in microseconds since 1970. `entries` is a JSON array of positions.
CREATE TABLE finding (
    newest INTEGER NOT NULL,
    place INTEGER NOT NULL,
    pseudonym BLOB NOT NULL,
    code TEXT NOT NULL,
    severity INTEGER NOT NULL,
    entries TEXT NOT NULL,
    occurred INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    PRIMARY KEY (newest, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX finding_case ON finding (pseudonym);
CREATE INDEX finding_code ON finding (code);

-- Keyed images of the features that a case's entries name.
CREATE TABLE case_feature (
    pseudonym BLOB NOT NULL,
    feature BLOB NOT NULL,
    PRIMARY KEY (feature, pseudonym)
) STRICT, WITHOUT ROWID;

CREATE INDEX case_feature_case ON case_feature (pseudonym);

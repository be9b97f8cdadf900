-- One ledger. Every hash that matters stands in `entry.leaf`; all other columns are derived from the leaves or sealed
-- beside them, and can be recomputed (docs/storage.md says which, and how).

-- The head: replaced by compare-and-swap on (size, root).
CREATE TABLE head (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL
) STRICT;

-- The leaf's exact bytes; the slot and the sealed disclosures are absent where there is no content, and after erasure.
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY NOT NULL,
    leaf BLOB NOT NULL,
    slot BLOB,
    sealed BLOB
) STRICT;

-- Permanent identities; the key is the first half of the leaf's `eid`.
CREATE TABLE identity (
    eid BLOB PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Complete subtrees in the order in which they came to be.
CREATE TABLE node (
    position INTEGER PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- Each commit; the signed checkpoint follows in the next transaction (signatures are deterministic).
CREATE TABLE commitment (
    size INTEGER PRIMARY KEY NOT NULL,
    root BLOB NOT NULL,
    key_id BLOB NOT NULL,
    note TEXT
) STRICT;

-- Blind image of a case id -> pseudonym and slot. The row is erasable; the pseudonym stays in the leaves.
CREATE TABLE case_file (
    blind BLOB PRIMARY KEY NOT NULL,
    pseudonym BLOB NOT NULL UNIQUE,
    slot BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trace_slot (
    trace BLOB PRIMARY KEY NOT NULL,
    slot BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE case_entry (
    pseudonym BLOB NOT NULL,
    case_seq INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (pseudonym, case_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE trace_entry (
    trace BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (trace, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE type_name (
    id INTEGER PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE type_entry (
    type_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (type_id, seq)
) STRICT, WITHOUT ROWID;

-- Blind images of values that content is found by (recommendation ids).
CREATE TABLE lookup (
    blind BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (blind, seq)
) STRICT, WITHOUT ROWID;

-- Issued reports: the signed envelope, stored in the transaction of its `report.issued`. Free of content.
CREATE TABLE report (
    id BLOB PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL,
    pseudonym BLOB,
    requester BLOB NOT NULL,
    envelope TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Message catalogues that reports were signed with, by SHA-256: a later version of the program has other words.
CREATE TABLE catalogue (
    digest BLOB PRIMARY KEY NOT NULL,
    text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

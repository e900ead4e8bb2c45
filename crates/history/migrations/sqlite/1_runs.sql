CREATE TABLE runs (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    step     TEXT NOT NULL,
    version  TEXT NOT NULL,
    started  TEXT NOT NULL, -- UTC, RFC 3339
    seconds  REAL NOT NULL,
    error    TEXT           -- NULL where the step succeeded
);
CREATE INDEX runs_by_step ON runs (step, id);

CREATE TABLE ingested_files (
    run_id      INTEGER NOT NULL REFERENCES runs (id),
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    row_count   INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    quarantined INTEGER NOT NULL
);
CREATE INDEX ingested_files_by_run ON ingested_files (run_id);

CREATE TABLE scores (
    run_id          INTEGER NOT NULL REFERENCES runs (id),
    model_sha256    TEXT NOT NULL,
    data            TEXT NOT NULL, -- the files that were scored, a JSON list
    n               INTEGER NOT NULL,
    true_positives  INTEGER NOT NULL,
    false_positives INTEGER NOT NULL,
    false_negatives INTEGER NOT NULL,
    true_negatives  INTEGER NOT NULL,
    f1              REAL NOT NULL
);
CREATE INDEX scores_by_run ON scores (run_id);

CREATE TABLE timings (
    run_id  INTEGER NOT NULL REFERENCES runs (id),
    what    TEXT NOT NULL,
    seconds REAL NOT NULL
);
CREATE INDEX timings_by_run ON timings (run_id);

CREATE TABLE missing_percentages (
    run_id      INTEGER NOT NULL REFERENCES runs (id),
    column_name TEXT NOT NULL,
    percent     REAL NOT NULL
);
CREATE INDEX missing_percentages_by_run ON missing_percentages (run_id);

-- Files whose rows a release was scored on and found good: fullprocess need not look at them again.
CREATE TABLE checked_files (
    run_id     INTEGER NOT NULL REFERENCES runs (id),
    release_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL
);
CREATE INDEX checked_files_by_release ON checked_files (release_id);

-- The newest versions that the package registry has named, for the days when it cannot be asked.
CREATE TABLE latest_versions (
    run_id  INTEGER NOT NULL REFERENCES runs (id),
    name    TEXT NOT NULL,
    version TEXT NOT NULL
);
CREATE INDEX latest_versions_by_name ON latest_versions (name, run_id);

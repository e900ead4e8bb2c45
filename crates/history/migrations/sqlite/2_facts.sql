-- One run, one id, all its facts under it; a run that is deleted takes them along.

ALTER TABLE runs ADD COLUMN ended TEXT; -- UTC, RFC 3339
ALTER TABLE runs ADD COLUMN outcome TEXT NOT NULL DEFAULT 'done'; -- or 'failed'
ALTER TABLE runs ADD COLUMN process TEXT; -- the same for all steps of one fullprocess
UPDATE runs SET ended = strftime('%Y-%m-%dT%H:%M:%fZ', started, '+' || seconds || ' seconds');
UPDATE runs SET outcome = 'failed' WHERE error IS NOT NULL;

-- The files (or batches of a database's rows) that a dataset was compiled from.
CREATE TABLE new_ingested_files (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    row_count   INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    source      TEXT
);
INSERT INTO new_ingested_files SELECT run_id, name, sha256, row_count, duplicates, quarantined, NULL FROM ingested_files;
DROP TABLE ingested_files;
ALTER TABLE new_ingested_files RENAME TO ingested_files;
CREATE INDEX ingested_files_by_run ON ingested_files (run_id);

-- Missing values of each ingested file, by column.
CREATE TABLE ingested_missing_values (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    column_name TEXT NOT NULL,
    missing     INTEGER NOT NULL
);
CREATE INDEX ingested_missing_values_by_run ON ingested_missing_values (run_id);

-- The compiled dataset; stored is 1 where it was put into clients.
CREATE TABLE datasets (
    run_id                     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sha256                     TEXT NOT NULL,
    row_count                  INTEGER NOT NULL,
    contradictory_corporations INTEGER NOT NULL,
    stored                     INTEGER NOT NULL
);
CREATE INDEX datasets_by_run ON datasets (run_id);

-- Trained models.
CREATE TABLE models (
    run_id         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sha256         TEXT NOT NULL,
    dataset_sha256 TEXT NOT NULL,
    row_count      INTEGER NOT NULL,
    exited         INTEGER NOT NULL,
    left_out       INTEGER NOT NULL,
    regularization REAL NOT NULL,
    newton_steps   INTEGER NOT NULL,
    gradient_norm  REAL NOT NULL,
    log_likelihood REAL NOT NULL
);
CREATE INDEX models_by_run ON models (run_id);

-- Their coefficients: the change of the log-odds of leaving per unit of a predictor, and the intercept.
CREATE TABLE coefficients (
    run_id         INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    term           TEXT NOT NULL,
    coefficient    REAL NOT NULL,
    standard_error REAL NOT NULL
);
CREATE INDEX coefficients_by_run ON coefficients (run_id);

-- F1 scores of models on labelled data; data is a JSON list of file names.
CREATE TABLE new_scores (
    run_id          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    model_sha256    TEXT NOT NULL,
    release_id      TEXT,
    data            TEXT NOT NULL,
    n               INTEGER NOT NULL,
    true_positives  INTEGER NOT NULL,
    false_positives INTEGER NOT NULL,
    false_negatives INTEGER NOT NULL,
    true_negatives  INTEGER NOT NULL,
    f1              REAL NOT NULL,
    threshold       REAL
);
INSERT INTO new_scores SELECT run_id, model_sha256, NULL, data, n, true_positives, false_positives, false_negatives, true_negatives, f1, NULL FROM scores;
DROP TABLE scores;
ALTER TABLE new_scores RENAME TO scores;
CREATE INDEX scores_by_run ON scores (run_id);

-- What a live release scored on new rows beside the score recorded at its deployment.
CREATE TABLE drift_checks (
    run_id          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id      TEXT NOT NULL,
    data            TEXT NOT NULL,
    n               INTEGER NOT NULL,
    true_positives  INTEGER NOT NULL,
    false_positives INTEGER NOT NULL,
    false_negatives INTEGER NOT NULL,
    true_negatives  INTEGER NOT NULL,
    f1              REAL NOT NULL,
    f1_low          REAL, -- of its 95 % interval, NULL where nobody left and nobody was predicted to
    f1_high         REAL,
    recorded_f1     REAL NOT NULL,
    test            TEXT NOT NULL,
    verdict         TEXT NOT NULL, -- 'drifted', 'not drifted' or 'cannot tell'
    drifted         INTEGER NOT NULL
);
CREATE INDEX drift_checks_by_run ON drift_checks (run_id);

-- What fullprocess decided, and why.
CREATE TABLE decisions (
    run_id       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    decision     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    live_release TEXT
);
CREATE INDEX decisions_by_run ON decisions (run_id);

-- What went live and when; it stayed live until the next row.
CREATE TABLE releases (
    run_id       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id   TEXT NOT NULL,
    action       TEXT NOT NULL,
    live_from    TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    f1           REAL NOT NULL,
    n            INTEGER NOT NULL
);
CREATE INDEX releases_by_run ON releases (run_id);
CREATE INDEX releases_by_live_from ON releases (live_from, run_id);

-- What took how long.
CREATE TABLE new_timings (
    run_id  INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    what    TEXT NOT NULL,
    seconds REAL NOT NULL
);
INSERT INTO new_timings SELECT run_id, what, seconds FROM timings;
DROP TABLE timings;
ALTER TABLE new_timings RENAME TO timings;
CREATE INDEX timings_by_run ON timings (run_id);

-- Percent of missing values in the compiled dataset, by column.
CREATE TABLE new_missing_percentages (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    column_name TEXT NOT NULL,
    percent     REAL NOT NULL
);
INSERT INTO new_missing_percentages SELECT run_id, column_name, percent FROM missing_percentages;
DROP TABLE missing_percentages;
ALTER TABLE new_missing_percentages RENAME TO missing_percentages;
CREATE INDEX missing_percentages_by_run ON missing_percentages (run_id);

-- Statistics of the compiled dataset's numeric columns; std is the sample standard deviation.
CREATE TABLE summary_statistics (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    column_name TEXT NOT NULL,
    mean        REAL,
    median      REAL,
    std         REAL,
    mode        REAL
);
CREATE INDEX summary_statistics_by_run ON summary_statistics (run_id);

-- Files whose rows a release was scored on and found good: fullprocess need not look at them again.
CREATE TABLE new_checked_files (
    run_id     INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL
);
INSERT INTO new_checked_files SELECT run_id, release_id, name, sha256 FROM checked_files;
DROP TABLE checked_files;
ALTER TABLE new_checked_files RENAME TO checked_files;
CREATE INDEX checked_files_by_run ON checked_files (run_id);
CREATE INDEX checked_files_by_release_id ON checked_files (release_id);

-- The program's dependencies: the version in it, and the newest that the package registry named.
CREATE TABLE dependencies (
    run_id          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    current_version TEXT,
    latest_version  TEXT
);
INSERT INTO dependencies SELECT run_id, name, NULL, version FROM latest_versions;
DROP TABLE latest_versions;
CREATE INDEX dependencies_by_run ON dependencies (run_id);
CREATE INDEX dependencies_by_name ON dependencies (name, run_id);

-- The compiled dataset, row by row as in finaldata.csv.
CREATE TABLE clients (
    number              INTEGER PRIMARY KEY, -- from 1
    corporation         TEXT,
    lastmonth_activity  NUMERIC,
    lastyear_activity   NUMERIC,
    number_of_employees NUMERIC,
    exited              INTEGER -- 0, 1 or NULL
);

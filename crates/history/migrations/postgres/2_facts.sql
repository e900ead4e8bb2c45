-- One run, one id, all its facts under it; a run that is deleted takes them along. Times are UTC, RFC 3339, of one width.

CREATE TABLE runs (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step    TEXT NOT NULL,
    version TEXT NOT NULL,
    started TEXT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    error   TEXT, -- NULL where the step succeeded
    ended   TEXT NOT NULL,
    outcome TEXT NOT NULL, -- 'done' or 'failed'
    process TEXT -- the same for all steps of one fullprocess
);
CREATE INDEX runs_by_step ON runs (step, id);

-- The files (or batches of a database's rows) that a dataset was compiled from.
CREATE TABLE ingested_files (
    run_id      BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    row_count   BIGINT NOT NULL,
    duplicates  BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    source      TEXT
);
CREATE INDEX ingested_files_by_run ON ingested_files (run_id);

-- Missing values of each ingested file, by column.
CREATE TABLE ingested_missing_values (
    run_id      BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    column_name TEXT NOT NULL,
    missing     BIGINT NOT NULL
);
CREATE INDEX ingested_missing_values_by_run ON ingested_missing_values (run_id);

-- The compiled dataset; stored is 1 where it was put into clients.
CREATE TABLE datasets (
    run_id                     BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sha256                     TEXT NOT NULL,
    row_count                  BIGINT NOT NULL,
    contradictory_corporations BIGINT NOT NULL,
    stored                     BIGINT NOT NULL
);
CREATE INDEX datasets_by_run ON datasets (run_id);

-- Trained models.
CREATE TABLE models (
    run_id         BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sha256         TEXT NOT NULL,
    dataset_sha256 TEXT NOT NULL,
    row_count      BIGINT NOT NULL,
    exited         BIGINT NOT NULL,
    left_out       BIGINT NOT NULL,
    regularization DOUBLE PRECISION NOT NULL,
    newton_steps   BIGINT NOT NULL,
    gradient_norm  DOUBLE PRECISION NOT NULL,
    log_likelihood DOUBLE PRECISION NOT NULL
);
CREATE INDEX models_by_run ON models (run_id);

-- Their coefficients: the change of the log-odds of leaving per unit of a predictor, and the intercept.
CREATE TABLE coefficients (
    run_id         BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    term           TEXT NOT NULL,
    coefficient    DOUBLE PRECISION NOT NULL,
    standard_error DOUBLE PRECISION NOT NULL
);
CREATE INDEX coefficients_by_run ON coefficients (run_id);

-- F1 scores of models on labelled data; data is a JSON list of file names.
CREATE TABLE scores (
    run_id          BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    model_sha256    TEXT NOT NULL,
    release_id      TEXT,
    data            TEXT NOT NULL,
    n               BIGINT NOT NULL,
    true_positives  BIGINT NOT NULL,
    false_positives BIGINT NOT NULL,
    false_negatives BIGINT NOT NULL,
    true_negatives  BIGINT NOT NULL,
    f1              DOUBLE PRECISION NOT NULL,
    threshold       DOUBLE PRECISION
);
CREATE INDEX scores_by_run ON scores (run_id);

-- What a live release scored on new rows beside the score recorded at its deployment.
CREATE TABLE drift_checks (
    run_id          BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id      TEXT NOT NULL,
    data            TEXT NOT NULL,
    n               BIGINT NOT NULL,
    true_positives  BIGINT NOT NULL,
    false_positives BIGINT NOT NULL,
    false_negatives BIGINT NOT NULL,
    true_negatives  BIGINT NOT NULL,
    f1              DOUBLE PRECISION NOT NULL,
    f1_low          DOUBLE PRECISION, -- of its 95 % interval, NULL where nobody left and nobody was predicted to
    f1_high         DOUBLE PRECISION,
    recorded_f1     DOUBLE PRECISION NOT NULL,
    test            TEXT NOT NULL,
    verdict         TEXT NOT NULL, -- 'drifted', 'not drifted' or 'cannot tell'
    drifted         BIGINT NOT NULL
);
CREATE INDEX drift_checks_by_run ON drift_checks (run_id);

-- What fullprocess decided, and why.
CREATE TABLE decisions (
    run_id       BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    decision     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    live_release TEXT
);
CREATE INDEX decisions_by_run ON decisions (run_id);

-- What went live and when; it stayed live until the next row.
CREATE TABLE releases (
    run_id       BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id   TEXT NOT NULL,
    action       TEXT NOT NULL,
    live_from    TEXT NOT NULL,
    model_sha256 TEXT NOT NULL,
    f1           DOUBLE PRECISION NOT NULL,
    n            BIGINT NOT NULL
);
CREATE INDEX releases_by_run ON releases (run_id);
CREATE INDEX releases_by_live_from ON releases (live_from, run_id);

-- What took how long.
CREATE TABLE timings (
    run_id  BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    what    TEXT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL
);
CREATE INDEX timings_by_run ON timings (run_id);

-- Percent of missing values in the compiled dataset, by column.
CREATE TABLE missing_percentages (
    run_id      BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    column_name TEXT NOT NULL,
    percent     DOUBLE PRECISION NOT NULL
);
CREATE INDEX missing_percentages_by_run ON missing_percentages (run_id);

-- Statistics of the compiled dataset's numeric columns; std is the sample standard deviation.
CREATE TABLE summary_statistics (
    run_id      BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    column_name TEXT NOT NULL,
    mean        DOUBLE PRECISION,
    median      DOUBLE PRECISION,
    std         DOUBLE PRECISION,
    mode        DOUBLE PRECISION
);
CREATE INDEX summary_statistics_by_run ON summary_statistics (run_id);

-- Files whose rows a release was scored on and found good: fullprocess need not look at them again.
CREATE TABLE checked_files (
    run_id     BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    release_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL
);
CREATE INDEX checked_files_by_run ON checked_files (run_id);
CREATE INDEX checked_files_by_release_id ON checked_files (release_id);

-- The program's dependencies: the version in it, and the newest that the package registry named.
CREATE TABLE dependencies (
    run_id          BIGINT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    current_version TEXT,
    latest_version  TEXT
);
CREATE INDEX dependencies_by_run ON dependencies (run_id);
CREATE INDEX dependencies_by_name ON dependencies (name, run_id);

-- The compiled dataset, row by row as in finaldata.csv.
CREATE TABLE clients (
    number              BIGINT NOT NULL, -- from 1; without an index, which would make replacing all rows three times as slow
    corporation         TEXT,
    lastmonth_activity  DOUBLE PRECISION,
    lastyear_activity   DOUBLE PRECISION,
    number_of_employees DOUBLE PRECISION,
    exited              SMALLINT -- 0, 1 or NULL
);

-- One run, one id, all its facts under it; a run that is deleted takes them along. Times are UTC, RFC 3339, of one width.
-- MySQL commits every statement by itself: each says IF NOT EXISTS, so that a migration that was cut short can go on.

CREATE TABLE IF NOT EXISTS runs (
    id      BIGINT AUTO_INCREMENT PRIMARY KEY,
    step    VARCHAR(255) NOT NULL,
    version VARCHAR(255) NOT NULL,
    started CHAR(27) NOT NULL,
    seconds DOUBLE NOT NULL,
    error   MEDIUMTEXT, -- NULL where the step succeeded
    ended   CHAR(27) NOT NULL,
    outcome VARCHAR(255) NOT NULL, -- 'done' or 'failed'
    process VARCHAR(255), -- the same for all steps of one fullprocess
    KEY runs_by_step (step, id)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The files (or batches of a database's rows) that a dataset was compiled from.
CREATE TABLE IF NOT EXISTS ingested_files (
    run_id      BIGINT NOT NULL,
    name        VARCHAR(255) NOT NULL,
    sha256      CHAR(64) NOT NULL,
    row_count   BIGINT NOT NULL,
    duplicates  BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    source      MEDIUMTEXT,
    KEY ingested_files_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Missing values of each ingested file, by column.
CREATE TABLE IF NOT EXISTS ingested_missing_values (
    run_id      BIGINT NOT NULL,
    name        VARCHAR(255) NOT NULL,
    column_name VARCHAR(255) NOT NULL,
    missing     BIGINT NOT NULL,
    KEY ingested_missing_values_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The compiled dataset; stored is 1 where it was put into clients.
CREATE TABLE IF NOT EXISTS datasets (
    run_id                     BIGINT NOT NULL,
    sha256                     CHAR(64) NOT NULL,
    row_count                  BIGINT NOT NULL,
    contradictory_corporations BIGINT NOT NULL,
    stored                     BIGINT NOT NULL,
    KEY datasets_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Trained models.
CREATE TABLE IF NOT EXISTS models (
    run_id         BIGINT NOT NULL,
    sha256         CHAR(64) NOT NULL,
    dataset_sha256 CHAR(64) NOT NULL,
    row_count      BIGINT NOT NULL,
    exited         BIGINT NOT NULL,
    left_out       BIGINT NOT NULL,
    regularization DOUBLE NOT NULL,
    newton_steps   BIGINT NOT NULL,
    gradient_norm  DOUBLE NOT NULL,
    log_likelihood DOUBLE NOT NULL,
    KEY models_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Their coefficients: the change of the log-odds of leaving per unit of a predictor, and the intercept.
CREATE TABLE IF NOT EXISTS coefficients (
    run_id         BIGINT NOT NULL,
    term           VARCHAR(255) NOT NULL,
    coefficient    DOUBLE NOT NULL,
    standard_error DOUBLE NOT NULL,
    KEY coefficients_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- F1 scores of models on labelled data; data is a JSON list of file names.
CREATE TABLE IF NOT EXISTS scores (
    run_id          BIGINT NOT NULL,
    model_sha256    CHAR(64) NOT NULL,
    release_id      VARCHAR(255),
    data            MEDIUMTEXT NOT NULL,
    n               BIGINT NOT NULL,
    true_positives  BIGINT NOT NULL,
    false_positives BIGINT NOT NULL,
    false_negatives BIGINT NOT NULL,
    true_negatives  BIGINT NOT NULL,
    f1              DOUBLE NOT NULL,
    threshold       DOUBLE,
    KEY scores_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a live release scored on new rows beside the score recorded at its deployment.
CREATE TABLE IF NOT EXISTS drift_checks (
    run_id          BIGINT NOT NULL,
    release_id      VARCHAR(255) NOT NULL,
    data            MEDIUMTEXT NOT NULL,
    n               BIGINT NOT NULL,
    true_positives  BIGINT NOT NULL,
    false_positives BIGINT NOT NULL,
    false_negatives BIGINT NOT NULL,
    true_negatives  BIGINT NOT NULL,
    f1              DOUBLE NOT NULL,
    f1_low          DOUBLE, -- of its 95 % interval, NULL where nobody left and nobody was predicted to
    f1_high         DOUBLE,
    recorded_f1     DOUBLE NOT NULL,
    test            VARCHAR(255) NOT NULL,
    verdict         VARCHAR(255) NOT NULL, -- 'drifted', 'not drifted' or 'cannot tell'
    drifted         BIGINT NOT NULL,
    KEY drift_checks_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What fullprocess decided, and why.
CREATE TABLE IF NOT EXISTS decisions (
    run_id       BIGINT NOT NULL,
    decision     VARCHAR(255) NOT NULL,
    reason       MEDIUMTEXT NOT NULL,
    live_release VARCHAR(255),
    KEY decisions_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What went live and when; it stayed live until the next row.
CREATE TABLE IF NOT EXISTS releases (
    run_id       BIGINT NOT NULL,
    release_id   VARCHAR(255) NOT NULL,
    action       VARCHAR(255) NOT NULL,
    live_from    CHAR(27) NOT NULL,
    model_sha256 CHAR(64) NOT NULL,
    f1           DOUBLE NOT NULL,
    n            BIGINT NOT NULL,
    KEY releases_by_run (run_id),
    KEY releases_by_live_from (live_from, run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What took how long.
CREATE TABLE IF NOT EXISTS timings (
    run_id  BIGINT NOT NULL,
    what    VARCHAR(255) NOT NULL,
    seconds DOUBLE NOT NULL,
    KEY timings_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Percent of missing values in the compiled dataset, by column.
CREATE TABLE IF NOT EXISTS missing_percentages (
    run_id      BIGINT NOT NULL,
    column_name VARCHAR(255) NOT NULL,
    percent     DOUBLE NOT NULL,
    KEY missing_percentages_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Statistics of the compiled dataset's numeric columns; std is the sample standard deviation.
CREATE TABLE IF NOT EXISTS summary_statistics (
    run_id      BIGINT NOT NULL,
    column_name VARCHAR(255) NOT NULL,
    mean        DOUBLE,
    median      DOUBLE,
    std         DOUBLE,
    mode        DOUBLE,
    KEY summary_statistics_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Files whose rows a release was scored on and found good: fullprocess need not look at them again.
CREATE TABLE IF NOT EXISTS checked_files (
    run_id     BIGINT NOT NULL,
    release_id VARCHAR(255) NOT NULL,
    name       VARCHAR(255) NOT NULL,
    sha256     CHAR(64) NOT NULL,
    KEY checked_files_by_run (run_id),
    KEY checked_files_by_release_id (release_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The program's dependencies: the version in it, and the newest that the package registry named.
CREATE TABLE IF NOT EXISTS dependencies (
    run_id          BIGINT NOT NULL,
    name            VARCHAR(255) NOT NULL,
    current_version VARCHAR(255),
    latest_version  VARCHAR(255),
    KEY dependencies_by_run (run_id),
    KEY dependencies_by_name (name, run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The compiled dataset, row by row as in finaldata.csv.
CREATE TABLE IF NOT EXISTS clients (
    number              BIGINT PRIMARY KEY, -- from 1
    corporation         VARCHAR(1000),
    lastmonth_activity  DOUBLE,
    lastyear_activity   DOUBLE,
    number_of_employees DOUBLE,
    exited              SMALLINT -- 0, 1 or NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

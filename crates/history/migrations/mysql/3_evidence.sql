-- How far each predictor of the new rows had moved from the training data of the release that was checked.
CREATE TABLE IF NOT EXISTS predictor_shifts (
    run_id           BIGINT NOT NULL,
    predictor        VARCHAR(255) NOT NULL,
    stability_index  DOUBLE NOT NULL,
    stability_cutoff DOUBLE NOT NULL, -- what chance exceeds in 5 of 100 cases
    ks_distance      DOUBLE, -- NULL where no new value is known
    p_value          DOUBLE NOT NULL, -- Holm-corrected
    risk_change      DOUBLE NOT NULL, -- of a client who is average in the other predictors
    verdict          VARCHAR(255) NOT NULL, -- 'shifted', 'harmless' or 'not shifted'
    KEY predictor_shifts_by_run (run_id, predictor),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a new model was held against before its deployment, and what came of it; warnings is a JSON list.
CREATE TABLE IF NOT EXISTS promotions (
    run_id       BIGINT NOT NULL,
    model_sha256 CHAR(64) NOT NULL,
    champion     VARCHAR(255), -- the release that was live
    rule_name    VARCHAR(255) NOT NULL,
    promoted     BIGINT NOT NULL,
    warnings     MEDIUMTEXT NOT NULL,
    KEY promotions_by_run (run_id),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Champion, challenger and the constants on the same test rows.
CREATE TABLE IF NOT EXISTS contestants (
    run_id          BIGINT NOT NULL,
    contestant      VARCHAR(255) NOT NULL,
    n               BIGINT NOT NULL,
    true_positives  BIGINT NOT NULL,
    false_positives BIGINT NOT NULL,
    false_negatives BIGINT NOT NULL,
    true_negatives  BIGINT NOT NULL,
    f1              DOUBLE NOT NULL,
    KEY contestants_by_run (run_id, contestant),
    FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far each predictor of the new rows had moved from the training data of the release that was checked.
CREATE TABLE predictor_shifts (
    run_id           INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    predictor        TEXT NOT NULL,
    stability_index  REAL NOT NULL,
    stability_cutoff REAL NOT NULL, -- what chance exceeds in 5 of 100 cases
    ks_distance      REAL, -- NULL where no new value is known
    p_value          REAL NOT NULL, -- Holm-corrected
    risk_change      REAL NOT NULL, -- of a client who is average in the other predictors
    verdict          TEXT NOT NULL -- 'shifted', 'harmless' or 'not shifted'
);
CREATE INDEX predictor_shifts_by_run ON predictor_shifts (run_id, predictor);

-- What a new model was held against before its deployment, and what came of it; warnings is a JSON list.
CREATE TABLE promotions (
    run_id       INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    model_sha256 TEXT NOT NULL,
    champion     TEXT, -- the release that was live
    rule_name    TEXT NOT NULL,
    promoted     INTEGER NOT NULL,
    warnings     TEXT NOT NULL
);
CREATE INDEX promotions_by_run ON promotions (run_id);

-- Champion, challenger and the constants on the same test rows.
CREATE TABLE contestants (
    run_id          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    contestant      TEXT NOT NULL,
    n               INTEGER NOT NULL,
    true_positives  INTEGER NOT NULL,
    false_positives INTEGER NOT NULL,
    false_negatives INTEGER NOT NULL,
    true_negatives  INTEGER NOT NULL,
    f1              REAL NOT NULL
);
CREATE INDEX contestants_by_run ON contestants (run_id, contestant);

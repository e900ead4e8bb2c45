//! The file names that the project's contract fixes, and those that accompany them.

/// Name of the compiled dataset.
pub const FINAL_DATA: &str = "finaldata.csv";
/// File with the names of the ingested files, which is both a Python list and JSON.
pub const INGESTED_FILES: &str = "ingestedfiles.txt";
/// File with the rows that could not be read.
pub const QUARANTINE: &str = "quarantine.csv";
/// File with what ingestion found, by input file. It changes together with the three files above.
pub const INGESTION_RECORD: &str = "ingestion.json";
/// Folder, beside those four files, of the rows that were read from a database.
pub(crate) const BATCHES: &str = "batches";
/// File of the model, which every step loads.
pub const MODEL: &str = "trainedmodel.bin";
/// File of the same model as a Python pickle.
pub const PICKLE: &str = "trainedmodel.pkl";
/// Folder of a release with the same model as an MLflow model.
pub const MLFLOW_MODEL: &str = "model";
/// File with the F1 score as a plain number.
pub const LATEST_SCORE: &str = "latestscore.txt";
/// File with the same score, together with the model and the data to which it belongs.
pub(crate) const SCORE_RECORD: &str = "latestscore.json";
/// Plot of the confusion matrix of the deployed model.
pub const CONFUSION_MATRIX: &str = "confusionmatrix.png";
/// Plot of the score, the missing values and the durations over time.
pub const TIME_TRENDS: &str = "timetrends.png";
/// Plot of how well the deployed model ranks, and of how reliable its probabilities are.
pub const MODEL_QUALITY: &str = "modelquality.png";
/// The list of the clients to call.
pub const CALL_LIST: &str = "calllist.csv";
/// The PDF report with the call list and the plots.
pub const REPORT: &str = "report.pdf";
/// File that names the release to which the five reports above belong.
pub(crate) const REPORT_RECORD: &str = "reports.json";
/// File in the production folder that exists while the live release is held.
pub(crate) const HOLD: &str = "hold.json";
/// File that describes the last run of `fullprocess`.
pub(crate) const LAST_RUN: &str = "lastrun.json";
/// File with the answers of all endpoints.
pub const API_RETURNS: &str = "apireturns.txt";

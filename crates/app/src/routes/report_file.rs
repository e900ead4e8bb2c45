//! The report of the live release as a PDF file.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::Data;
use common::api::Endpoint;
use common::files::REPORT;
use common::production::reports::ReportRecord;

use crate::problem::{Problem, ProblemDocument, UnavailableErrors};
use crate::response::of_release;
use crate::state::State;

/// The report of the live release as a PDF file, as `reporting` wrote it.
#[utoipa::path(get, path = Endpoint::Report.documented_path(), tag = "reports", responses(
    (status = 200, body = Vec<u8>, content_type = "application/pdf", description = "The report",
        headers(("x-release" = String, description = "The release that the report is about"))),
    (status = 404, body = ProblemDocument, content_type = "application/problem+json",
        description = "There is no report of the live release"),
    UnavailableErrors,
))]
pub async fn report(state: Data<State>) -> Result<HttpResponse, Problem> {
    let permit = state.page_queue.enter().await?;
    let (release, report) = permit
        .run(move || {
            let live = state.live.model()?;
            match ReportRecord::report_of(&live.id, &state.config.output_model, REPORT) {
                Some(report) => Ok((live.id.clone(), report)),
                None => Err(Problem::NotFound(format!(
                    "there is no report of release {} yet, or another step is writing it; run reporting on the server",
                    live.id
                ))),
            }
        })
        .await?;
    let name = format!("attachment; filename=\"{REPORT}\"");
    let response = HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/pdf"))
        .insert_header((CONTENT_DISPOSITION, name))
        .body(report);
    Ok(of_release(response, &release))
}

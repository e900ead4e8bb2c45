//! Schemathesis tests the service against its OpenAPI document: it sends requests that the document allows and requests
//! that it does not, and finds no undocumented answer and no 5xx.

use std::process::{Command, Stdio};

use crate::helpers::{Api, OUTPUTS, documented_endpoints};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";

#[test]
fn every_answer_is_as_the_description_says() {
    let api = Api::deployed();
    let before = api.workspace.snapshot(&OUTPUTS);
    check(&api);
    assert!(api.workspace.snapshot(&OUTPUTS) == before, "a request has changed an output");
    api.check_alive();
}

/// Tests the service against its own description.
pub fn check(api: &Api) {
    let installed = Command::new("schemathesis").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return testkit::skipped("schemathesis (PyPI) is not installed here");
    }
    let output = Command::new("schemathesis")
        .current_dir(api.workspace.path(""))
        .args(["run", &format!("{}/openapi.json", api.server.url), "--checks", CHECKS])
        .args(["--max-examples", "60", "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing"])
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let n = documented_endpoints();
    let counts = [format!("{n} selected"), format!("{n} / {n}"), format!("{n} tested")];
    assert!(counts.iter().any(|count| report.contains(count)), "{report}");
}

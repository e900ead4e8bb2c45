//! The two text formats that Prometheus reads: OpenMetrics for clients that ask for it, as Prometheus does, and the
//! classic format for all others, such as `promtool check metrics` behind curl.

use std::collections::HashSet;

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header};

/// The text format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The format OpenMetrics, version 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Classic,
}

impl Format {
    /// The format that a client prefers: OpenMetrics if its header `Accept` ranks it before plain text.
    pub fn preferred_by(request: &HttpRequest) -> Self {
        let ranked = Accept::parse(request).map(|accepted| accepted.ranked()).unwrap_or_default();
        let known = ranked.iter().find_map(|accepted| match accepted.essence_str() {
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "text/plain" | "text/*" | "*/*" => Some(Self::Classic),
            _ => None,
        });
        known.unwrap_or(Self::Classic)
    }

    /// The media type of the format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Converts a text in the format OpenMetrics.
    pub fn of_open_metrics(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Classic => classic(&text),
        }
    }
}

/// The same metrics in the classic format. There, the name of a counter includes its suffix `_total`, and the text has no
/// end mark.
fn classic(open_metrics: &str) -> String {
    let types = open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: HashSet<&str> = types.filter_map(|name| name.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let described = line.strip_prefix("# ").and_then(|rest| rest.split(' ').nth(1));
        match described.filter(|name| counters.contains(name)) {
            Some(name) => text += &line.replacen(name, &format!("{name}_total"), 1),
            None => text += line,
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_a_client_that_asks_for_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let format = |accept: &str| {
            let request = TestRequest::default().insert_header(("accept", accept)).to_http_request();
            Format::preferred_by(&request)
        };
        assert_eq!(format(prometheus), Format::OpenMetrics);
        for accept in [
            "*/*",
            "text/plain",
            "text/html,*/*;q=0.8",
            "application/json",
            ";,=/",
            "",
            "application/openmetrics-text;q=0.3,text/plain",
        ] {
            assert_eq!(format(accept), Format::Classic, "{accept}");
        }
        assert_eq!(Format::preferred_by(&TestRequest::default().to_http_request()), Format::Classic);
    }

    #[test]
    fn the_classic_format_names_counters_with_their_suffix() {
        let open_metrics = "# HELP requests Requests answered.\n# TYPE requests counter\nrequests_total{route=\"/\"} 3\n\
                            # HELP age Age of requests.\n# TYPE age gauge\nage 1.5\n# EOF\n";
        let classic = "# HELP requests_total Requests answered.\n# TYPE requests_total counter\nrequests_total{route=\"/\"} 3\n\
                       # HELP age Age of requests.\n# TYPE age gauge\nage 1.5\n";
        assert_eq!(Format::Classic.of_open_metrics(open_metrics.to_owned()), classic);
        assert_eq!(Format::OpenMetrics.of_open_metrics(open_metrics.to_owned()), open_metrics);
    }
}

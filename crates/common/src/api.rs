//! The HTTP API of the service as a table of its endpoints.
//!
//! `app` binds one handler to each endpoint and takes the rest from here: the method, the token rule, the labels of
//! metrics and logs, and the paths of the OpenAPI document. `apicalls` takes from here what it calls. The table is
//! plain data, so that clients of the service do not link the web server.

use std::time::Duration;

/// The HTTP method that an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads data and changes nothing.
    Get,
    /// Sends data in the request body.
    Post,
}

impl Method {
    /// The method's name in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Properties {
    /// The only method that the endpoint answers.
    pub method: Method,
    /// Path of the endpoint, which also labels it in metrics and logs. `{name}` matches one segment of a path and
    /// `{name:.*}` all following segments.
    pub pattern: &'static str,
    /// Whether requests must send the token if the service has one. Endpoints without it reveal no client data.
    pub needs_token: bool,
    /// Whether requests change data. Those that a page of another site sends are refused.
    pub writes: bool,
    /// Whether the OpenAPI document describes the endpoint.
    pub is_documented: bool,
    /// Whether every successful answer names the release that answered.
    pub names_release: bool,
    /// Path and query of the call in `apicalls`, in which `{corporation}` stands for a client's name and `{version}` for
    /// the live release; `None` if the
    /// endpoint is not called.
    pub call: Option<&'static str>,
    /// Time limit of that call.
    pub limit: Duration,
}

/// Defines the enum of endpoints and the table from one list, so that neither can miss an endpoint.
macro_rules! endpoints {
    ($($endpoint:ident: $properties:expr,)*) => {
        /// An endpoint of the service.
        #[allow(missing_docs, reason = "the table describes each endpoint")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Endpoint { $($endpoint),* }

        impl Endpoint {
            /// All endpoints, in the order in which `apicalls` calls them.
            pub const ALL: &[Self] = &[$(Self::$endpoint),*];

            /// The endpoint's row of the table.
            pub const fn properties(self) -> Properties {
                match self { $(Self::$endpoint => $properties),* }
            }
        }
    };
}

endpoints! {
    HealthLive: Properties { needs_token: false, ..get("/health/live") },
    HealthReady: Properties { needs_token: false, ..get("/health/ready") },
    Prediction: Properties { method: Method::Post, names_release: true, ..computed("/prediction") },
    Scoring: Properties { names_release: true, ..computed("/scoring") },
    SummaryStatistics: computed("/summarystats"),
    Diagnostics: computed("/diagnostics"),
    CallList: Properties { names_release: true, ..computed("/calllist") },
    Contacts: Properties { method: Method::Post, writes: true, call: None, ..get("/contacts") },
    History: Properties { call: Some("/history?what=runs&last=50"), ..get("/history") },
    Home: Properties { names_release: true, ..computed("/") },
    Clients: Properties { names_release: true, ..computed("/clients") },
    Client: Properties {
        names_release: true,
        call: Some("/clients/{corporation}"),
        ..computed("/clients/{corporation:.*}")
    },
    Model: Properties { names_release: true, ..computed("/model") },
    Terms: get("/terms"),
    Report: Properties { call: None, names_release: true, ..computed("/report.pdf") },
    OpenApi: Properties { is_documented: false, ..get("/openapi.json") },
    DocsFile: Properties { call: Some("/docs/"), is_documented: false, ..get("/docs/{file:.*}") },
    DocsFolder: Properties { call: None, is_documented: false, ..get("/docs") },
    Metrics: get("/metrics"),
    InferenceServer: get("/v2"),
    InferenceLive: Properties { needs_token: false, ..get("/v2/health/live") },
    InferenceReady: Properties { needs_token: false, ..get("/v2/health/ready") },
    InferenceModel: Properties { names_release: true, ..get("/v2/models/risk") },
    InferenceModelReady: Properties { names_release: true, ..get("/v2/models/risk/ready") },
    Infer: Properties { method: Method::Post, names_release: true, ..computed("/v2/models/risk/infer") },
    InferenceVersion: Properties { names_release: true, ..get("/v2/models/risk/versions/{version}") },
    InferenceVersionReady: Properties { names_release: true, ..get("/v2/models/risk/versions/{version}/ready") },
    InferVersion: Properties {
        method: Method::Post,
        names_release: true,
        ..computed("/v2/models/risk/versions/{version}/infer")
    },
    Asset: Properties { call: None, is_documented: false, ..get("/assets/{file}") },
}

/// A documented endpoint that answers GET requests without long computation, and is called by its own path.
const fn get(pattern: &'static str) -> Properties {
    Properties {
        method: Method::Get,
        pattern,
        needs_token: true,
        writes: false,
        is_documented: true,
        names_release: false,
        call: Some(pattern),
        limit: Duration::from_secs(10),
    }
}

/// The same for an endpoint whose answer may have to be computed.
const fn computed(pattern: &'static str) -> Properties {
    Properties { limit: Duration::from_secs(120), ..get(pattern) }
}

impl Endpoint {
    /// Whether a path belongs to the Open Inference Protocol, whose errors have a key `error`.
    pub fn path_is_inference(path: &str) -> bool {
        path == "/v2" || path.starts_with("/v2/")
    }

    /// The path as the OpenAPI document writes it, such as `/clients/{corporation}`.
    pub fn documented_path(self) -> String {
        self.properties().pattern.replace(":.*", "")
    }

    /// Whether requests for `path` need the token. Only the paths of endpoints that say so need none.
    pub fn path_needs_token(path: &str) -> bool {
        let mut endpoints = Self::ALL.iter().map(|endpoint| endpoint.properties());
        !endpoints.any(|endpoint| !endpoint.needs_token && endpoint.pattern == path)
    }

    /// Whether requests for `path` change data.
    pub fn path_writes(path: &str) -> bool {
        Self::ALL
            .iter()
            .map(|endpoint| endpoint.properties())
            .any(|endpoint| endpoint.writes && endpoint.pattern == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_health_endpoints_need_no_token() {
        let open: Vec<_> = Endpoint::ALL.iter().filter(|endpoint| !endpoint.properties().needs_token).collect();
        let expected = [Endpoint::HealthLive, Endpoint::HealthReady, Endpoint::InferenceLive, Endpoint::InferenceReady];
        assert_eq!(open, expected.iter().collect::<Vec<_>>());
        assert!(!Endpoint::path_needs_token("/health/live"));
        for path in ["/", "/scoring", "/health", "/health/live/", "/health/live?x", "/Health/live", "/unknown"] {
            assert!(Endpoint::path_needs_token(path), "{path}");
        }
    }

    #[test]
    fn only_contacts_are_written_and_apicalls_writes_nothing() {
        for endpoint in Endpoint::ALL {
            let Properties { method, pattern, writes, call, .. } = endpoint.properties();
            assert_eq!(writes, *endpoint == Endpoint::Contacts, "{pattern}");
            assert!(!writes || (method == Method::Post && call.is_none()), "{pattern}");
            assert_eq!(Endpoint::path_writes(pattern), writes, "{pattern}");
        }
        assert!(!Endpoint::path_writes("/unknown"));
    }

    #[test]
    fn patterns_are_unique_and_calls_match_them() {
        for (i, endpoint) in Endpoint::ALL.iter().enumerate() {
            let Properties { pattern, call, .. } = endpoint.properties();
            assert!(Endpoint::ALL[..i].iter().all(|other| other.properties().pattern != pattern), "{pattern}");
            let fixed = pattern.split('{').next().unwrap();
            assert!(call.is_none_or(|call| call.starts_with(fixed)), "{call:?}");
        }
        assert_eq!(Endpoint::Client.documented_path(), "/clients/{corporation}");
    }
}

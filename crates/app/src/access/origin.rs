//! Refuses requests that change data if a page of another site has sent them.
//!
//! A browser sends a form of any page to any address, with the token if the user has entered it before. It tells in
//! `Sec-Fetch-Site` how the page and the address are related; to an address without TLS that is not on this machine it
//! tells only the page's `Origin`. Programs that are no browsers send neither and are not refused.

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::http::uri::Uri;

use crate::problem::Problem;

/// Checks that no page of another site has sent a request with these headers.
///
/// # Errors
/// [`Problem::Forbidden`] if one has, or if the headers do not tell.
pub fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let is_own = match (headers.get("sec-fetch-site"), headers.get(ORIGIN)) {
        // The browser has compared scheme, host and port itself, and no page can change this header. A proxy may have
        // changed `Host`.
        (Some(site), _) => [&b"same-origin"[..], b"none"].contains(&site.as_bytes()),
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(authority);
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
        }
        (None, None) => true,
    };
    match is_own {
        true => Ok(()),
        false => Err(Problem::Forbidden(
            "a page of another site has sent this request; record calls on the service's own pages, or from a program \
             that sends neither Sec-Fetch-Site nor Origin"
                .to_owned(),
        )),
    }
}

/// Host and port of an origin, such as `risk.example:8000`; `None` for `null`.
fn authority(origin: &str) -> Option<String> {
    let origin: Uri = origin.parse().ok()?;
    origin.scheme()?;
    origin.authority().map(|authority| authority.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn only_pages_of_the_service_and_programs_may_write() {
        for (site, origin, host, is_own) in [
            ("", "", "localhost:8000", true),
            ("", "", "", true),
            ("same-origin", "", "localhost:8000", true),
            ("same-origin", "https://risk.example", "upstream", true),
            ("same-origin", "null", "localhost:8000", true),
            ("none", "", "localhost:8000", true),
            ("cross-site", "", "localhost:8000", false),
            ("cross-site", "http://localhost:8000", "localhost:8000", false),
            ("same-site", "http://localhost:8000", "localhost:8000", false),
            ("Same-Origin", "", "localhost:8000", false),
            ("", "http://localhost:8000", "localhost:8000", true),
            ("", "http://LOCALHOST:8000", "localhost:8000", true),
            ("", "https://risk.example", "risk.example", true),
            ("", "http://[::1]:8000", "[::1]:8000", true),
            ("", "http://localhost:8001", "localhost:8000", false),
            ("", "http://localhost", "localhost:8000", false),
            ("", "http://evil.example", "localhost:8000", false),
            ("", "http://localhost:8000.evil.example", "localhost:8000", false),
            ("", "http://localhost:8000@evil.example", "localhost:8000", false),
            ("", "localhost:8000", "localhost:8000", false),
            ("", "null", "localhost:8000", false),
            ("", "null", "null", false),
            ("", "http://localhost:8000", "", false),
        ] {
            let mut headers = HeaderMap::new();
            let site = (HeaderName::from_static("sec-fetch-site"), site);
            for (name, value) in
                [site, (ORIGIN, origin), (HOST, host)].into_iter().filter(|(_, value)| !value.is_empty())
            {
                headers.insert(name, HeaderValue::from_static(value));
            }
            assert_eq!(check(&headers).is_ok(), is_own, "{headers:?}");
        }
    }
}

//! The browser's secret: an opaque session in a cookie that scripts cannot read, and the guard against other sites that
//! would have the browser send it for them.

use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::problem::{Code, Problem};

const NAME: &str = "tandem_session";
/// Over TLS: the prefix keeps a sister domain from setting it (RFC 6265bis section 4.1.3.2).
const SECURE_NAME: &str = "__Host-tandem_session";

/// What a browser says of where a request comes from, whatever proxies did to the address (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The session that a browser sent, if any.
pub(crate) fn read(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name(secure)).map(|(_, value)| value)
}

/// Gives a browser its session. It ends with the browser or in the database, whichever is first.
pub(crate) fn set(session: &str, secure: bool) -> HeaderValue {
    cookie(session, "", secure)
}

/// Takes it away again.
pub(crate) fn clear(secure: bool) -> HeaderValue {
    cookie("", "; Max-Age=0", secure)
}

/// Refuses what another site's page had the browser send with our cookie. `SameSite` alone would let a page of a sister
/// domain through; and even an event stream that it cannot read would tell the gateway that somebody is there to be rung.
pub(crate) fn same_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    // A safe request may be an address that somebody typed.
    let is_ours = if method.is_safe() { !is_of_another_page(headers) } else { comes_from_here(headers) };
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(
        Code::CrossSite,
        "The console's cookie is for the console's own pages; programs send `Authorization`.",
    ))
}

/// Of a request without credentials of ours: whether a browser says that another site made it.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    (headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(ORIGIN)) && !comes_from_here(headers)
}

fn is_of_another_page(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none")
}

fn comes_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(&SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        // Browsers before 2023 send only this with a change.
        None => {
            let origin = text(&ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            origin.is_some() && origin == text(&HOST)
        }
    }
}

fn cookie(value: &str, end: &str, secure: bool) -> HeaderValue {
    let (name, attribute) = (name(secure), if secure { "; Secure" } else { "" });
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{attribute}{end}");
    HeaderValue::from_str(&text).expect("hexadecimal digits and ASCII words")
}

const fn name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { NAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        for (sent, found) in [
            ("tandem_session=ts_1", Some("ts_1")),
            ("a=b; tandem_session=ts_1;c=d", Some("ts_1")),
            ("xtandem_session=ts_1", None),
            ("tandem_session", None),
            ("", None),
        ] {
            assert_eq!(read(&headers(&[("cookie", sent)]), false), found, "{sent}");
            assert_eq!(read(&headers(&[("cookie", sent)]), true), None, "{sent}: not over TLS");
        }
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_other_sites_and_plain_lines() {
        assert_eq!(set("ts_1", true), "__Host-tandem_session=ts_1; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(set("ts_1", false), "tandem_session=ts_1; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(clear(false), "tandem_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        #[track_caller]
        fn check(pairs: &[(&'static str, &str)], changes: bool, signs_in: bool) {
            let headers = headers(pairs);
            let is_of_another_page = pairs.iter().any(|(_, value)| value.ends_with("-site"));
            assert_eq!(same_origin(&Method::GET, &headers).is_ok(), !is_of_another_page, "{pairs:?}");
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert_eq!(same_origin(&method, &headers).is_ok(), changes, "{pairs:?}");
            }
            assert_eq!(!is_cross_site(&headers), signs_in, "{pairs:?}");
        }
        check(&[], false, true);
        check(&[("sec-fetch-site", "same-origin")], true, true);
        // Typed into the address bar.
        check(&[("sec-fetch-site", "none")], false, false);
        check(&[("sec-fetch-site", "same-site")], false, false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "http://a"), ("host", "a")], false, false);
        // Behind a proxy that changes the host.
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://a"), ("host", "b:80")], true, true);
        check(&[("origin", "https://a:444"), ("host", "a:444")], true, true);
        check(&[("origin", "https://a"), ("host", "b")], false, false);
        check(&[("origin", "null"), ("host", "null")], false, false);
    }
}

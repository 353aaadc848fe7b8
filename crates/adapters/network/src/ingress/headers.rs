//! Header fields on their way through: what belongs to one connection stays there, and the instance learns who asked.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHORIZATION: HeaderName = HeaderName::from_static("proxy-authorization");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who sent a request and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) encrypted: bool,
}

/// The host a request is for, as written. `Ok(None)` when it names none, `Err` when it names none that could be.
pub(crate) fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, ()> {
    if let Some(authority) = request.uri().authority() {
        return Ok(Some(authority.clone()));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => Authority::try_from(host.as_bytes()).map(Some).map_err(|_| ()),
        // Two instances of the field could be read differently by two readers.
        (Some(_), Some(_)) => Err(()),
    }
}

/// The host as routes are written: lower case, without port and final dot.
pub(crate) fn host_key(authority: &Authority) -> String {
    let host = authority.host();
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The protocol that a request or answer wants to change to, unless it is one that the ingress speaks itself.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let listed = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let wanted = headers.get(UPGRADE).filter(|_| listed)?;
    let own = wanted.as_bytes().to_ascii_lowercase().starts_with(b"h2c");
    (!own).then(|| wanted.clone())
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

/// Removes the fields that are about one connection only.
pub(crate) fn strip_connection(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> =
        tokens(headers, &CONNECTION).filter_map(|token| token.parse().ok()).filter(is_removable).collect();
    for name in listed {
        headers.remove(name);
    }
    let takes_trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    if headers.contains_key(TRANSFER_ENCODING) {
        // The length of a message is said once; saying it twice is how requests are smuggled.
        headers.remove(CONTENT_LENGTH);
    }
    let own = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];
    for name in own.into_iter().chain([HTTP2_SETTINGS]) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// A client may not have fields removed that the ingress or the framing relies on.
fn is_removable(name: &HeaderName) -> bool {
    let fixed = [&HOST, &CONTENT_LENGTH, &TRAILER, &FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST];
    !fixed.contains(&name)
}

/// Puts back the wish to change protocols.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Makes a client's header fields those of a request to an instance.
pub(crate) fn to_backend(
    headers: &mut HeaderMap,
    authority: Option<&Authority>,
    client: Client,
    trust: bool,
) {
    strip_connection(headers);
    join_cookies(headers);
    // The wish to be told to go on was granted when the body began to be read.
    headers.remove(EXPECT);
    if !trust {
        for name in [&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST, &FORWARDED] {
            headers.remove(name);
        }
    }
    let earlier: Vec<String> = tokens(headers, &FORWARDED_FOR).map(str::to_owned).collect();
    let chain = earlier.into_iter().chain([client.address.to_string()]).collect::<Vec<_>>().join(", ");
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    let scheme = HeaderValue::from_static(if client.encrypted { "https" } else { "http" });
    headers.entry(FORWARDED_PROTO).or_insert(scheme);
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
        headers.insert(HOST, host);
    }
}

/// HTTP/2 may split cookies over several fields, HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Request};

    use super::{Client, authority, host_key, to_backend, upgrade};

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn sent(list: &[(&'static str, &'static str)], trust: bool) -> HeaderMap {
        let mut headers = headers(list);
        let client = Client { address: "192.0.2.7".parse().unwrap(), encrypted: false };
        let host = "web.test:8080".parse().unwrap();
        to_backend(&mut headers, Some(&host), client, trust);
        headers
    }

    #[test]
    fn fields_of_one_connection_stay_there() {
        let headers = sent(
            &[
                ("connection", "close, X-Own, host"),
                ("x-own", "1"),
                ("x-kept", "2"),
                ("keep-alive", "3"),
                ("te", "gzip, trailers"),
                ("transfer-encoding", "chunked"),
                ("content-length", "5"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
            ],
            false,
        );
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["host", "te", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-kept"]
        );
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn only_trusted_clients_speak_for_others() {
        let list =
            [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=x")];
        let headers = sent(&list, false);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "web.test:8080");
        assert!(!headers.contains_key("forwarded"));
        let headers = sent(&list, true);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn hosts_are_read_as_routes_are_written() {
        let read = |hosts: &[&'static str]| {
            let mut request = Request::new(());
            for host in hosts {
                request.headers_mut().append("host", HeaderValue::from_static(host));
            }
            authority(&request).map(|found| found.as_ref().map(host_key))
        };
        assert_eq!(read(&["Web.Test:80"]), Ok(Some("web.test".into())));
        assert_eq!(read(&["web.test."]), Ok(Some("web.test".into())));
        assert_eq!(read(&["[::1]:80"]), Ok(Some("[::1]".into())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a b"]), Err(()));
        assert_eq!(read(&["a.test", "b.test"]), Err(()));
    }

    #[test]
    fn protocols_of_the_ingress_are_not_passed_on() {
        let wanted =
            |protocol| upgrade(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", protocol)]));
        assert_eq!(wanted("websocket").unwrap(), "websocket");
        assert_eq!(wanted("h2c"), None);
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
    }
}

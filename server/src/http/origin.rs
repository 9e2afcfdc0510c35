//! From which web pages browsers may call: our own, and those that an operator allows. And from which
//! address a request comes when proxies stand between.

use super::serve::Peer;
use crate::config::Config;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The origins that are allowed, and the proxies that are believed.
#[derive(Clone)]
pub struct Origins {
    own: Arc<str>,
    allowed: Arc<[String]>,
    proxies: Arc<[IpNet]>,
}

impl Origins {
    pub fn new(config: &Config) -> Self {
        Self {
            own: config.public_url.as_str().into(),
            allowed: config.cors_origins.clone().into(),
            proxies: config.trusted_proxies.clone().into(),
        }
    }

    /// Whether a page may open a socket. Programs that are no browsers send no `Origin`. Browsers do not
    /// hold sockets to the same origin by themselves (RFC 6455, section 10.2).
    pub fn allows_socket(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let same = host.is_some_and(|host| {
            origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")) == Some(host)
        });
        same || *origin == *self.own || self.allowed.iter().any(|allowed| allowed == origin)
    }

    /// The client's address: the nearest one that is no trusted proxy.
    pub fn address(&self, headers: &HeaderMap, peer: Peer) -> IpAddr {
        let mut address = peer.0.ip().to_canonical();
        // Each proxy adds to the end, be it to the last line or with a line of its own.
        let lines = headers.get_all("x-forwarded-for").iter();
        let lines: Vec<&str> = lines.map(|value| value.to_str().unwrap_or_default()).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.proxies.iter().any(|network| network.contains(&address)) {
                break;
            }
            match hop_address(hop.trim()) {
                Some(before) => address = before.to_canonical(),
                None => break,
            }
        }
        address
    }

    /// What browsers on other origins are told; nothing when no other origin is allowed.
    pub fn cors(&self) -> Option<CorsLayer> {
        if self.allowed.is_empty() {
            return None;
        }
        let origins = self.allowed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("idempotency-key"),
                HeaderName::from_static("x-request-id"),
            ])
            .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER])
            .max_age(std::time::Duration::from_secs(3600));
        Some(cors)
    }
}

/// The address of one hop. Some proxies add the port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().map(|address: SocketAddr| address.ip());
    hop.trim_matches(['[', ']']).parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins {
            own: "https://notify.example".into(),
            allowed: vec!["https://app.example".to_owned()].into(),
            proxies: ["10.0.0.1/32", "192.168.7.0/24", "fd00::/8"].map(|text| text.parse().unwrap()).into(),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_our_own_and_allowed_pages_open_sockets() {
        let allows = |pairs: &[_]| origins().allows_socket(&headers(pairs));
        assert!(allows(&[]));
        assert!(allows(&[("origin", "http://127.0.0.1:9"), ("host", "127.0.0.1:9")]));
        assert!(allows(&[("origin", "https://notify.example"), ("host", "inner:8080")]));
        assert!(allows(&[("origin", "https://app.example"), ("host", "x")]));
        assert!(!allows(&[("origin", "https://evil.example"), ("host", "notify.example")]));
        assert!(!allows(&[("origin", "null"), ("host", "null")]));
    }

    #[test]
    fn only_trusted_proxies_say_where_a_request_comes_from() {
        let peer = |last| Peer(([10, 0, 0, last], 1).into());
        let forwarded = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4")]);
        assert_eq!(origins().address(&forwarded, peer(1)), IpAddr::from([1, 2, 3, 4]));
        assert_eq!(origins().address(&forwarded, peer(2)), IpAddr::from([10, 0, 0, 2]));
        let mut two_lines = headers(&[("x-forwarded-for", "6.6.6.6")]);
        two_lines.append("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
        assert_eq!(origins().address(&two_lines, peer(1)), IpAddr::from([1, 2, 3, 4]));
        for (hops, expected) in [
            ("9.9.9.9, 1.2.3.4, 192.168.7.200", "1.2.3.4"),
            ("1.2.3.4, fd00::7, 192.168.7.200", "1.2.3.4"),
            ("1.2.3.4, 192.168.8.1", "192.168.8.1"),
            ("1.2.3.4:5678, [fd00::7]:443", "1.2.3.4"),
            ("1.2.3.4, nonsense", "10.0.0.1"),
        ] {
            let hops = headers(&[("x-forwarded-for", hops)]);
            assert_eq!(origins().address(&hops, peer(1)).to_string(), expected, "{hops:?}");
        }
    }
}

//! Where the server calls on behalf of others: nowhere within the network that it stands in, unless an administrator allows it.
//! Names are looked up by the same code that connects, so that what was checked is what is called.

use hongyan_wire::limits::is_url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use smol_str::{SmolStr, format_smolstr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Who may be called.
#[derive(Debug, Default)]
pub struct Guard {
    /// Hosts in small letters: names, or addresses.
    allowed: Vec<String>,
}

impl Guard {
    /// Allows these hosts wherever they are.
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: allowed.into_iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Why a URL cannot be called, as far as that can be said without looking its host up.
    pub fn refuses(&self, url: &str) -> Option<&'static str> {
        let parsed = Url::parse(url).ok().filter(|_| is_url(url));
        let Some((host, url)) = parsed.as_ref().and_then(|url| Some((url.host_str()?, url))) else {
            return Some("must be an http or https URL of at most 2048 bytes");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Some("must not have a name or password in it");
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_local = address.is_ok_and(is_private) || host.eq_ignore_ascii_case("localhost");
        (is_local && !self.allows(host))
            .then_some("is in a private network; CALLBACK_ALLOWED_HOSTS may allow its host")
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.allowed.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
    }
}

/// Looks names up for the client and leaves out what may not be called.
struct Resolver(Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let may_call = |address: &SocketAddr| !is_private(address.ip()) || guard.allows(name.as_str());
            let addresses: Vec<SocketAddr> = found.filter(may_call).take(ADDRESSES_MAX).collect();
            if addresses.is_empty() {
                return Err("its host is in a private network; CALLBACK_ALLOWED_HOSTS may allow it".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A client that calls only whom it may. It follows no redirect and takes no proxy, which could lead past the guard.
///
/// # Errors
/// That the system allows no sockets at all.
pub fn client(
    guard: &Arc<Guard>,
    more: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, reqwest::Error> {
    // Whoever was first has set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("Hongyan/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Resolver(guard.clone())))
            .redirect(Policy::none())
            .no_proxy();
        more(builder)
    };
    builder().build().or_else(|error| {
        // A small container may have none, and need none.
        tracing::warn!(error = %cause(&error), "without the system's certificates nothing with https can be called");
        builder().tls_certs_only([]).build()
    })
}

/// The innermost cause: the outer ones repeat the address.
pub fn cause(error: &reqwest::Error) -> SmolStr {
    if error.is_timeout() {
        return "no answer within 15 seconds".into();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format_smolstr!("{innermost}")
}

/// Whether an address is no public one (IANA's special-purpose registries, RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carrier-grade NAT (RFC 6598), protocol assignments, benchmarking (RFC 2544).
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && (b == 18 || b == 19))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // IPv4 in IPv6 (RFC 4291), NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments with Teredo (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, second, ..] => second < 0x200 || second == 0xdb8,
        [0x3fff, second, ..] => second < 0x1000,
        // All else that is public begins with the bits 001 (RFC 4291, section 2.4).
        [first, ..] => first & 0xe000 != 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_called_unless_allowed() {
        let guard = Guard::new(["10.0.0.7".to_owned(), "Inside.example".to_owned(), "::1".to_owned()]);
        for good in [
            "https://a.example/x",
            "http://93.184.216.34/",
            "http://10.0.0.7:8080/",
            "http://[::1]:9/",
            "https://[2606:4700::1]/",
            "http://172.15.255.255/",
            "http://172.32.0.0/",
            "http://198.17.255.255/",
            "http://198.20.0.0/",
            "http://100.63.255.255/",
            "http://223.255.255.255/",
        ] {
            assert_eq!(guard.refuses(good), None, "{good}");
        }
        for bad in [
            "http://127.0.0.1/",
            "http://10.0.0.8/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://0/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://localhost:1/",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "x",
            "http://100.64.0.1/",
            "http://[2002:7f00:1::]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[fec0::1]/",
            "http://[2001:0:53aa::1]/",
            "http://[3fff::1]/",
            "http://[5f00::1]/",
            "http://[ff02::1]/",
            "http://192.88.99.1/",
            "http://172.16.0.1/",
            "http://172.31.255.254/",
            "http://198.18.0.1/",
            "http://198.19.255.254/",
            "http://192.0.2.1/",
            "http://198.51.100.7/",
            "http://203.0.113.9/",
            "http://192.0.0.8/",
            "http://224.0.0.1/",
            "http://240.0.0.1/",
            "http://255.255.255.255/",
            "http://[2001:db8::1]/",
            "http://[100::1]/",
            "http://１２７.0.0.1/",
        ] {
            assert!(guard.refuses(bad).is_some(), "{bad}");
        }
        assert!(guard.allows("inside.EXAMPLE"));
    }
}

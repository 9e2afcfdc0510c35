//! Ports that stay whose they are.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpSocket;

/// A port of this machine that the system gives to nobody for as long as this is there. A server that is told of it can
/// listen on it, again and again; until then nobody answers there.
pub struct Port {
    /// Bound, and never listening: beside it who names the port can listen, while it is not free to be given away.
    _held: TcpSocket,
    address: SocketAddr,
}

impl Port {
    /// Takes one that nobody has.
    pub fn take() -> Self {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = held.local_addr().unwrap();
        Self { _held: held, address }
    }

    pub fn number(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

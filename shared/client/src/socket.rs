//! Frames over a socket: JSON in, JSON out. What is no frame of ours is passed over, as the protocol wants.

use crate::platform::{NoReply, Platform, Socket, SocketEvent, Speaker};
use hongyan_wire::frame::{ClientFrame, ServerFrame};

/// What has happened on a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Opened,
    Frame(Box<ServerFrame>),
    Closed(u16),
}

/// Opens the socket `/ws` with a ticket. The ticket is hexadecimal or base64url: nothing to escape.
pub fn open<P: Platform>(platform: &P, ticket: &str) -> Result<P::Socket, NoReply> {
    platform.open(&format!("/ws?ticket={ticket}"))
}

pub fn say(speaker: &Speaker, frame: &ClientFrame) {
    // A frame of ours is always JSON; if it were not, the server's silence would end the socket.
    if let Ok(text) = serde_json::to_string(frame) {
        speaker(&text);
    }
}

/// The next event.
pub async fn next(socket: &mut impl Socket) -> Event {
    loop {
        match socket.next().await {
            SocketEvent::Opened => return Event::Opened,
            SocketEvent::Closed(code) => return Event::Closed(code),
            SocketEvent::Text(text) => match serde_json::from_str(&text) {
                Ok(frame) => return Event::Frame(Box::new(frame)),
                Err(_) => continue,
            },
        }
    }
}

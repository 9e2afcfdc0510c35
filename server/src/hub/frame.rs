//! Frames as they go onto the stream: encoded once, the same bytes for every socket.

use bytes::{BufMut, Bytes, BytesMut};
use hongyan_wire::frame::ServerFrame;
use serde::Serialize;
use std::sync::LazyLock;

/// Frames that are always the same.
pub static PING: LazyLock<Bytes> = LazyLock::new(|| encode(&ServerFrame::Ping).unwrap_or_default());
pub static PONG: LazyLock<Bytes> = LazyLock::new(|| encode(&ServerFrame::Pong).unwrap_or_default());
pub static RESYNC: LazyLock<Bytes> = LazyLock::new(|| encode(&ServerFrame::Resync).unwrap_or_default());

/// A whole unmasked text frame with this payload (RFC 6455, section 5.2).
pub fn text(payload: &[u8]) -> Bytes {
    const FINAL_TEXT: u8 = 0x81;
    framed(FINAL_TEXT, payload)
}

/// First byte of a close frame.
const FINAL_CLOSE: u8 = 0x88;

/// A close frame without a code, the answer to one without a code.
pub fn bare_close() -> Bytes {
    framed(FINAL_CLOSE, &[])
}

/// A close frame (RFC 6455, section 5.5.1); a control frame's payload has at most 125 bytes.
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.put_u16(code);
    let fits = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 123).last();
    payload.extend_from_slice(reason.get(..fits.unwrap_or(0)).unwrap_or_default().as_bytes());
    framed(FINAL_CLOSE, &payload)
}

/// A server frame, ready to be sent. `None` only if it cannot be JSON, which no frame of ours is.
pub fn encode(frame: &ServerFrame) -> Option<Bytes> {
    encode_as(frame)
}

/// Anything that looks like a server frame, ready to be sent.
pub fn encode_as(frame: &impl Serialize) -> Option<Bytes> {
    match serde_json::to_vec(frame) {
        Ok(payload) => Some(text(&payload)),
        Err(error) => {
            tracing::error!(target: "hongyan::error", %error, "a frame could not be encoded");
            None
        }
    }
}

fn framed(first: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(first);
    match payload.len() {
        length @ 0..=125 => frame.put_u8(length as u8),
        length @ 126..=65_535 => {
            frame.put_u8(126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.extend_from_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    /// What another implementation reads from our bytes.
    fn read(bytes: Bytes) -> Message {
        let mut socket = WebSocket::from_raw_socket(std::io::Cursor::new(bytes.to_vec()), Role::Client, None);
        socket.read().unwrap()
    }

    #[test]
    fn another_implementation_reads_frames_of_every_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let payload = "x".repeat(length);
            assert_eq!(read(text(payload.as_bytes())), Message::text(payload));
        }
    }

    #[test]
    fn a_close_frame_carries_its_code_and_never_breaks_a_character() {
        let Message::Close(Some(close)) = read(close(4009, &"鸿".repeat(80))) else { panic!("a close") };
        assert_eq!(u16::from(close.code), 4009);
        assert_eq!(close.reason.chars().count(), 41);
    }
}

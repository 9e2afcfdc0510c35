//! A TCP connection that sends exactly the bytes of a test, also those that no client library sends.

use crate::wait::within;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A key of 16 bytes, for handshakes.
pub const SOCKET_KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// An open connection.
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
    host: String,
}

impl Raw {
    /// Connects to the server of a URL.
    pub async fn connect(url: &str) -> Self {
        let host = url.split("://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let stream = within("a connection", TcpStream::connect(&host)).await.unwrap();
        Self { stream, unread: Vec::new(), host }
    }

    /// Opens a WebSocket with a bare handshake.
    pub async fn socket(url: &str, token: &str) -> Self {
        let mut raw = Self::connect(url).await;
        let host = raw.host.clone();
        raw.say(format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {SOCKET_KEY}\r\n\r\n"
        ))
        .await
        .unwrap();
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// The `host:port` it is connected to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sends bytes; an error when the other side takes no more.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("the server to take bytes", self.stream.write_all(bytes.as_ref())).await
    }

    /// Sends a masked frame with this first byte.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        const MASK: [u8; 4] = [0x51, 0x0a, 0xc3, 0x7e];
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(length @ 0..=125) => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.say(frame).await.unwrap();
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> String {
        let end = loop {
            match self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.read_more().await.unwrap() > 0, "it ended: {:?}", self.unread),
            }
        };
        String::from_utf8(self.unread.drain(..end).collect()).unwrap()
    }

    /// The status and the body of the next answer, which must have a `Content-Length`.
    pub async fn answer(&mut self) -> (u16, String) {
        let head = self.head().await.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let length: usize = length.parse().unwrap();
        while self.unread.len() < length {
            assert!(self.read_more().await.unwrap() > 0, "it ended: {head}");
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        (head[9..12].parse().unwrap(), body)
    }

    /// The opcode and the payload of the next frame; `None` when the other side has ended the connection. An error
    /// is a reset.
    pub async fn next_frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            let (at, length) = match *self.unread.as_slice() {
                [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
                [_, length, ..] if length < 126 => (2, usize::from(length)),
                _ => (2, usize::MAX),
            };
            if self.unread.len().saturating_sub(at) >= length {
                let opcode = self.unread[0] & 0x0f;
                return Ok(Some((opcode, self.unread.drain(..at + length).skip(at).collect())));
            }
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads until the other side ends the connection.
    pub async fn end(&mut self) -> io::Result<()> {
        while self.read_more().await? > 0 {}
        Ok(())
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        within("something from the server", self.stream.read_buf(&mut self.unread)).await
    }
}

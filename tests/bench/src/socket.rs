//! A small WebSocket client (RFC 6455): thousands of them must cost little.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A key is there to find proxies that remember answers; there are none here.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const END: &[u8] = b"\r\n\r\n";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

pub struct Socket {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Socket {
    /// Connects and shakes hands.
    pub async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting a socket")?;
        stream.set_nodelay(true)?;
        let mut socket = Self { stream, buffer: BytesMut::new() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await?;
        let end = loop {
            if let Some(end) = socket.buffer.windows(END.len()).position(|window| window == END) {
                break end + END.len();
            }
            socket.read().await?;
        };
        let head = socket.buffer.split_to(end);
        if !head.starts_with(b"HTTP/1.1 101 ") {
            bail!("no socket: {}", String::from_utf8_lossy(&head));
        }
        Ok(socket)
    }

    /// Says a text.
    pub async fn say(&mut self, text: &str) -> Result<()> {
        ensure!(text.len() < 65_536, "too long a text");
        let mut frame = vec![0x80 | TEXT];
        match text.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        // A mask of zeroes is a mask.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next text.
    pub async fn hear(&mut self) -> Result<Bytes> {
        loop {
            while let Some((opcode, payload)) = self.frame() {
                match opcode {
                    TEXT => return Ok(payload),
                    CLOSE => bail!("the server closed: {}", String::from_utf8_lossy(&payload)),
                    _ => {}
                }
            }
            self.read().await?;
        }
    }

    /// Takes a whole frame out of what was read.
    fn frame(&mut self) -> Option<(u8, Bytes)> {
        let (first, length) = (*self.buffer.first()?, *self.buffer.get(1)?);
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?)).ok()?),
            length => (2, usize::from(length)),
        };
        if self.buffer.len() < head + length {
            return None;
        }
        self.buffer.advance(head);
        Some((first & 0x0f, self.buffer.split_to(length).freeze()))
    }

    async fn read(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::with_capacity(2_048);
        }
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server ended a socket");
        Ok(())
    }
}

//! A small HTTP/1.1 client that keeps its connection (RFC 9112): what makes the load must cost little.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The end of an answer's head.
const END: &[u8] = b"\r\n\r\n";

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Asks, and gives the body of an answer that is 200.
    pub async fn ask(&mut self, request: &[u8]) -> Result<&[u8]> {
        let (status, head) = self.answered(request).await?;
        if status != 200 {
            bail!("refused: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(&self.buffer[head..])
    }

    /// Asks, and gives the status of the answer.
    pub async fn status(&mut self, request: &[u8]) -> Result<u16> {
        Ok(self.answered(request).await?.0)
    }

    /// Takes the whole answer. Gives its status, and where its body begins.
    async fn answered(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(end) = self.buffer.windows(END.len()).position(|window| window == END) {
                break end + END.len();
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("an answer's head")?;
        let status =
            text.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer's status")?;
        let length = length(text)?;
        while self.buffer.len() < head + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        Ok((status, head))
    }
}

fn length(head: &str) -> Result<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, value) = lengths.next().context("an answer without a length")?;
    value.trim().parse().context("an answer's length")
}

/// A whole `GET`.
pub fn get(path: &str, authorization: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\n\r\n").into_bytes()
}

/// A whole `DELETE`.
pub fn delete(path: &str, authorization: &str) -> Vec<u8> {
    format!("DELETE {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\n\r\n").into_bytes()
}

/// A whole `POST`.
pub fn post(path: &str, authorization: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Connections that ask side by side.
pub struct Pool(Vec<Client>);

impl Pool {
    pub async fn connect(address: SocketAddr, count: usize) -> Result<Self> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(Client::connect(address).await?);
        }
        Ok(Self(clients))
    }

    /// Asks `total` times, going round the requests; each connection has one request under way.
    pub async fn load(&mut self, requests: &Arc<[Vec<u8>]>, total: usize) -> Result<()> {
        let begun = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for mut client in self.0.drain(..) {
            let (begun, requests) = (begun.clone(), requests.clone());
            tasks.spawn(async move {
                loop {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        return anyhow::Ok(client);
                    }
                    client.ask(&requests[number % requests.len()]).await?;
                }
            });
        }
        while let Some(client) = tasks.join_next().await {
            self.0.push(client??);
        }
        Ok(())
    }
}

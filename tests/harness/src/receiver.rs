//! A small web server that keeps what it is told: the other end of a `callback_url`.

use crate::wait::within;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Told {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        &found.unwrap_or_else(|| panic!("no header {name} in {self:?}")).1
    }
}

/// Answers with what it was given to answer, then with 204.
pub struct Receiver {
    pub url: String,
    answers: Arc<Mutex<VecDeque<u16>>>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<VecDeque<u16>>> = Arc::default();
        let coming = answers.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (coming, tell) = (coming.clone(), tell.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &coming, &tell).await;
                });
            }
        });
        Self { url, answers, told }
    }

    /// The statuses of the next answers.
    pub fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// The next thing it is told.
    pub async fn next(&mut self) -> Told {
        within("a callback", self.told.recv()).await.unwrap()
    }

    /// Whether it was told nothing that was not taken yet.
    pub fn is_silent(&mut self) -> bool {
        self.told.try_recv().is_err()
    }
}

async fn serve(
    stream: TcpStream,
    answers: &Mutex<VecDeque<u16>>,
    tell: &mpsc::UnboundedSender<Told>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        let status = answers.lock().unwrap().pop_front().unwrap_or(204);
        let _ = tell.send(Told { path, headers, body: String::from_utf8(body).unwrap() });
        let answer = format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await?;
    }
}

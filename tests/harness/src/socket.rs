//! A socket as a client sees it.

use crate::wait::within;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Whether pings of the server are answered as they are met: who never answers is closed.
    answers: bool,
    /// What the server said to the hello.
    pub welcome: Value,
}

/// What came next.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Frame(Value),
    Pong,
    /// The close code, or none when the connection just ended.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens without saying anything. An error gives the HTTP status and body.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, (u16, String, Option<String>)> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match within("an answer to the handshake", tokio_tungstenite::connect_async(request)).await {
            Ok((stream, _)) => Ok(Self { stream, answers: true, welcome: Value::Null }),
            Err(Error::Http(response)) => {
                let retry = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned(), retry))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens, says hello and waits for the welcome.
    pub async fn hello(url: &str, token: &str, device: &str, cursor: Option<&str>) -> Self {
        let bearer = format!("Bearer {token}");
        let mut socket = Self::open(url, &[("authorization", &bearer)]).await.unwrap();
        socket.say(json!({ "type": "hello", "data": { "device_id": device, "device_type": "desktop", "cursor": cursor } })).await;
        socket.welcome = socket.frame("welcome").await;
        socket
    }

    /// The same, but it leaves pings unanswered.
    pub fn silent(mut self) -> Self {
        self.answers = false;
        self
    }

    pub async fn say(&mut self, frame: Value) {
        self.send(Message::text(frame.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Whatever comes next; a ping has been answered then.
    pub async fn next(&mut self) -> Heard {
        loop {
            match within("something over the socket", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if self.answers && frame["type"] == "ping" {
                        // What is closing meanwhile needs none; that it is closed comes next.
                        let _ = self.stream.send(Message::text(json!({ "type": "pong" }).to_string())).await;
                    }
                    return Heard::Frame(frame);
                }
                Some(Ok(Message::Pong(_))) => return Heard::Pong,
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The data of the next frame that is no ping and no presence, which must be of this type.
    pub async fn frame(&mut self, wanted: &str) -> Value {
        loop {
            match self.next().await {
                Heard::Frame(mut frame) => {
                    let kind = frame["type"].as_str().unwrap();
                    if kind == wanted {
                        return frame["data"].take();
                    }
                    assert!(matches!(kind, "ping" | "presence"), "{frame} instead of {wanted}");
                }
                Heard::Pong => {}
                Heard::Closed(code) => panic!("closed with {code:?} instead of {wanted}"),
            }
        }
    }

    /// The title of the next message.
    pub async fn message(&mut self) -> String {
        self.frame("message").await["title"].as_str().unwrap().to_owned()
    }

    /// The code with which it is closed; whatever comes before is passed over.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Heard::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// Closes it.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

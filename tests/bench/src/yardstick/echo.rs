//! Bare sockets that echo.

use super::{announce, listen, socket_config};
use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;

pub async fn serve() -> Result<()> {
    let listener = listen().await?;
    announce(&[&listener])?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

async fn echo(stream: TcpStream) {
    // The handshake needs much and lasts shortly: its memory is not kept while the socket idles.
    let shaken = Box::pin(accept_async_with_config(stream, Some(socket_config()))).await;
    let Ok(mut stream) = shaken else { return };
    while let Some(Ok(message)) = stream.next().await {
        if (message.is_text() || message.is_binary()) && stream.send(message).await.is_err() {
            return;
        }
    }
}

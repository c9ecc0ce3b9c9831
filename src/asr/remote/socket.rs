//! A connection to a recogniser: a WebSocket, or plain TCP.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::dialect::Message;
use crate::model::error::chain;

/// Longer messages no recogniser sends.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A server that takes nothing for so long is as good as gone.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Bytes read from a TCP connection at once.
const READ: usize = 16 * 1024;

/// Where a recogniser is, and how to get in.
pub(super) struct Address {
    /// `ws://`, `wss://` or `tcp://`. May hold a secret, so it is never logged whole.
    pub(super) url: reqwest::Url,
    /// What precedes the key in the `Authorization` header, and the key.
    pub(super) key: Option<(&'static str, SecretString)>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("host", &self.host()).finish_non_exhaustive()
    }
}

impl Address {
    /// Host and port: what may be logged.
    pub(super) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn request(&self) -> Result<Request, String> {
        let mut request = self.url.as_str().into_client_request().map_err(chain)?;
        if let Some((scheme, key)) = &self.key {
            let value = HeaderValue::try_from(format!("{scheme} {}", key.expose_secret()));
            let mut value = value.map_err(|_| "its key holds characters that no key has")?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

/// A connection that was made.
pub(super) enum Socket {
    Web(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Tcp(TcpStream),
}

impl Socket {
    /// # Errors
    /// Why there is none, for people.
    pub(super) async fn connect(address: &Address, within: Duration) -> Result<Self, String> {
        let connecting = async {
            if address.url.scheme() == "tcp" {
                let stream = TcpStream::connect(address.host()).await.map_err(chain)?;
                // Without it the last bytes of a stretch may wait for the network; it is merely slower.
                let _ = stream.set_nodelay(true);
                return Ok(Self::Tcp(stream));
            }
            let limits = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(MESSAGE_BYTES_MAX));
            let made = connect_async_with_config(address.request()?, Some(limits), true).await;
            made.map(|(stream, _)| Self::Web(Box::new(stream))).map_err(chain)
        };
        let made = tokio::time::timeout(within, connecting).await;
        made.unwrap_or_else(|_| Err(format!("it did not answer within {within:?}")))
    }

    /// # Errors
    /// The connection is gone.
    pub(super) async fn send(&mut self, messages: Vec<Message>) -> Result<(), String> {
        let sending = async {
            match self {
                Self::Web(stream) => {
                    for message in messages {
                        let message = match message {
                            Message::Text(text) => tungstenite::Message::text(text),
                            Message::Bytes(bytes) => tungstenite::Message::binary(bytes),
                        };
                        stream.feed(message).await.map_err(chain)?;
                    }
                    stream.flush().await.map_err(chain)
                }
                Self::Tcp(stream) => {
                    for message in messages {
                        let bytes = match message {
                            Message::Text(text) => text.into_bytes(),
                            Message::Bytes(bytes) => bytes,
                        };
                        stream.write_all(&bytes).await.map_err(chain)?;
                    }
                    Ok(())
                }
            }
        };
        let sent = tokio::time::timeout(SEND_WITHIN, sending).await;
        sent.unwrap_or_else(|_| Err(format!("it took nothing for {SEND_WITHIN:?}")))
    }

    /// The next message; `None` when the server has hung up properly. May be given up at any time without loss.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) async fn receive(&mut self) -> Result<Option<Message>, String> {
        match self {
            Self::Web(stream) => loop {
                match stream.next().await {
                    Some(Ok(tungstenite::Message::Text(text))) => {
                        return Ok(Some(Message::Text(Utf8Bytes::to_string(&text))));
                    }
                    Some(Ok(tungstenite::Message::Binary(bytes))) => return Ok(Some(Message::Bytes(bytes.to_vec()))),
                    Some(Ok(tungstenite::Message::Close(Some(frame)))) if frame.code != CloseCode::Normal => {
                        return Err(format!("it hung up: {} {}", u16::from(frame.code), frame.reason));
                    }
                    Some(Ok(tungstenite::Message::Close(_))) | None => return Ok(None),
                    // Pings are answered by the library.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(chain(&error)),
                }
            },
            Self::Tcp(stream) => {
                let mut bytes = vec![0; READ];
                let read = stream.read(&mut bytes).await.map_err(chain)?;
                bytes.truncate(read);
                Ok((read > 0).then_some(Message::Bytes(bytes)))
            }
        }
    }

    /// Hangs up properly, if that can be done at once.
    pub(super) async fn close(self) {
        const WITHIN: Duration = Duration::from_secs(1);
        // Whoever is gone needs no goodbye.
        let _ = match self {
            Self::Web(mut stream) => tokio::time::timeout(WITHIN, stream.close()).await.is_ok(),
            Self::Tcp(mut stream) => tokio::time::timeout(WITHIN, stream.shutdown()).await.is_ok(),
        };
    }
}

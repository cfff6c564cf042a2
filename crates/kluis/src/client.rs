//! How a command reaches the router: through the control socket beside a running node, or in its own process.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt;

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The way to the router.
pub(crate) enum Client {
    /// A node runs; each request has a connection of its own, so that an answer before the end of a body hurts no other.
    Socket(PathBuf),
    /// No node runs; the stores are open in this process.
    InProcess(Router),
}

/// What the router said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer> {
        let (status, body) = self.begin(request).await?;
        let body = http_body_util::Limited::new(body, ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|_| anyhow::anyhow!("the answer broke off or is too long"))?;
        Ok(Answer { status, body: body.to_bytes().to_vec() })
    }

    /// Sends a request; the answer is read by the caller, piece by piece.
    ///
    /// # Errors
    /// The sentence of an answer that says no.
    pub(crate) async fn stream(&self, request: Request<Body>) -> Result<Body> {
        let (status, body) = self.begin(request).await?;
        if status.is_success() {
            return Ok(body);
        }
        let body = http_body_util::Limited::new(body, ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|_| anyhow::anyhow!("the answer broke off or is too long"))?;
        Answer { status, body: body.to_bytes().to_vec() }.into_json()?;
        bail!("the node answered {status}")
    }

    async fn begin(&self, request: Request<Body>) -> Result<(StatusCode, Body)> {
        let (parts, body) = match self {
            Self::Socket(socket) => {
                let stream = UnixStream::connect(socket)
                    .await
                    .with_context(|| format!("cannot reach the running node at {}", socket.display()))?;
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                let sent = sender.send_request(request).await;
                let (parts, body) = sent.context("the running node broke off")?.into_parts();
                (parts, Body::new(body))
            }
            Self::InProcess(router) => router.clone().oneshot(request).await?.into_parts(),
        };
        Ok((parts.status, body))
    }

    /// A request with a JSON body, or none, and a JSON answer.
    pub(crate) async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json, application/dicom+json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        self.send(request).await?.into_json()
    }
}

impl Answer {
    /// The body, where the request was done; else an error with the sentence of the answer.
    pub(crate) fn into_json(self) -> Result<Value> {
        if self.status == StatusCode::NO_CONTENT || self.body.is_empty() && self.status.is_success() {
            return Ok(Value::Null);
        }
        let value: Value = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).trim().to_owned()));
        if self.status.is_success() {
            return Ok(value);
        }
        let sentence = value
            .get("message")
            .and_then(Value::as_str)
            .or_else(|| value.as_str())
            .map_or_else(|| format!("the node answered {}", self.status), str::to_owned);
        bail!(sentence)
    }
}

//! Requests of people on their way to a validator, both ends. HTTP/1.1 over a connection between nodes, upgraded
//! connections included.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use univrs_api::elsewhere::{Forward, HandedOn, NotAnswered};
use univrs_model::ids::NodeId;
use univrs_model::member::holds_state;
use univrs_trust::Peer;
use univrs_trust::tls::API;

use crate::cluster::dial::NodeDial;
use crate::cluster::directory::Directory;

/// Hands requests to validators: always to the same one while it answers, for what it remembers of a caller.
pub(crate) struct ToValidators {
    pub(crate) dial: Arc<NodeDial>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) own: NodeId,
}

#[async_trait]
impl Forward for ToValidators {
    async fn forward(&self, request: Request) -> Result<Response, NotAnswered> {
        let mut last = "no validator is known here".to_owned();
        for validator in self.directory.validators(&self.own) {
            match self.dial.connect(&validator, API).await {
                // Once it has begun it is not tried elsewhere: it may have been done.
                Ok(stream) => return through(stream, request).await,
                Err(error) => last = error.to_string(),
            }
        }
        Err(NotAnswered::Unreached(last))
    }
}

async fn through(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    mut request: Request,
) -> Result<Response, NotAnswered> {
    let failed = |error: hyper::Error| NotAnswered::Lost(error.to_string());
    let (mut sender, connection) =
        http1::Builder::new().handshake::<_, Body>(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a request that was handed on ended early");
        }
    });
    let near = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await.map_err(failed)?;
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        let far = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(near), Ok(far)) = tokio::join!(near, far) {
                let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
                // Either end may go away at any time; there is nobody left to tell.
                let _gone = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
    Ok(response.map(Body::new))
}

/// Answers the requests that a member hands on.
pub(super) async fn serve(stream: TlsStream<TcpStream>, api: Router, peer: &Peer) -> Result<(), String> {
    let api = api.layer(axum::Extension(HandedOn { trusted: holds_state(&peer.roles) }));
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(api))
        .with_upgrades()
        .await
        .map_err(|error| error.to_string())
}

//! Keeps this node's certificate alive: a new one after a third of its life, and at once after a long sleep.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;
use univrs_control::Control;
use univrs_model::node::Role;
use univrs_ports::clock::Clock;
use univrs_trust::{CertificateSigner, Credentials};

use crate::cluster::asking::Asking;
use crate::cluster::trust::Trust;

/// How long to wait before asking again.
const RETRY: Duration = Duration::from_secs(15);
/// The longest sleep: a clock that was set is noticed then.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs until it is dropped.
pub(crate) async fn keep(trust: Arc<Trust>, asking: Arc<Asking>, control: Control, clock: Arc<dyn Clock>) {
    loop {
        let Some(credentials) = trust.credentials() else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let due = credentials.renew_at().map(|at| at.duration_since(clock.now()));
        match due.ok().and_then(|left| Duration::try_from(left).ok()) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left.min(LONGEST)).await,
            _ => match renew(&trust, &asking, &control, &credentials).await {
                Ok(()) => tracing::info!("this node has a new certificate"),
                Err(reason) => {
                    tracing::warn!(reason, "this node's certificate cannot be renewed; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            },
        }
    }
}

async fn renew(
    trust: &Trust,
    asking: &Asking,
    control: &Control,
    credentials: &Credentials,
) -> Result<(), String> {
    let own = credentials.peer().map_err(|error| error.to_string())?;
    let request = credentials.key.request().map_err(|error| error.to_string())?;
    let here = || {
        let renewed = control.renew(&CertificateSigner, &own.node, &request);
        renewed.map_err(|error| error.to_string())
    };
    let certificate = match own.roles.contains(&Role::Validator).then(here) {
        Some(Ok(certificate)) => certificate,
        Some(Err(_)) | None => asking.renew(&request).await?,
    };
    let next = Credentials { certificate: CertificateDer::from(certificate), ..credentials.clone() };
    trust.replace(next).map_err(|failure| failure.explain())
}

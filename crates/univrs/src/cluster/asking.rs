//! Asking validators, whichever answers first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::name::Name;
use univrs_model::secret::SecretValue;
use univrs_ports::issuer::{CertificateSource, ServedCertificate};
use univrs_ports::secrets::{DeliveredSecret, SecretError, SecretSource};
use univrs_ports::store::ClusterId;
use univrs_store::wire::{Caller, Channel};

use crate::cluster::dial::NodeDial;
use crate::cluster::directory::Directory;
use crate::cluster::service::{Answer, Ask};

/// How long one validator may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Asks validators.
pub(crate) struct Asking {
    caller: Caller,
    directory: Arc<Directory>,
    own: NodeId,
}

impl Asking {
    pub(crate) fn new(
        dial: Arc<NodeDial>,
        cluster: ClusterId,
        directory: Arc<Directory>,
        own: NodeId,
    ) -> Self {
        Self { caller: Caller::new(dial, Some(cluster)), directory, own }
    }

    /// One validator's answer; why none of them answered otherwise.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let body = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        let mut last = "no validator is known here".to_owned();
        for validator in self.directory.validators(&self.own) {
            let answered = self.caller.call(validator.as_str(), Channel::CLUSTER, &body, PATIENCE).await;
            match answered.map(|answer| serde_json::from_slice(&answer)) {
                Ok(Ok(Answer::Failed(reason))) => last = reason,
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = error.to_string(),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }

    /// One node's answer; why there is none otherwise.
    pub(super) async fn ask_node(
        &self,
        node: &NodeId,
        ask: &Ask,
        patience: Duration,
    ) -> Result<Answer, String> {
        let body = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        let answered = self.caller.call(node.as_str(), Channel::CLUSTER, &body, patience).await;
        let answer = answered.map_err(|error| error.to_string())?;
        serde_json::from_slice(&answer).map_err(|error| error.to_string())
    }

    /// The next certificate for a request, both in DER.
    pub(super) async fn renew(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        match self.ask(&Ask::Renew { request: hex::encode(request) }).await? {
            Answer::Certificate(certificate) => hex::decode(certificate).map_err(|error| error.to_string()),
            _ => Err("a validator answered something else".to_owned()),
        }
    }
}

/// Secrets for a node that cannot open them itself.
pub(crate) struct RemoteSecrets(pub(crate) Arc<Asking>);

#[async_trait]
impl SecretSource for RemoteSecrets {
    async fn secrets(
        &self,
        _: &NodeId,
        instance: &InstanceId,
    ) -> Result<BTreeMap<Name, DeliveredSecret>, SecretError> {
        let unavailable = |reason: String| SecretError::Unavailable { reason };
        let ask = Ask::Secrets { instance: instance.clone() };
        match self.0.ask(&ask).await.map_err(unavailable)? {
            Answer::Secrets(values) => values
                .into_iter()
                .map(|(name, value)| {
                    let bytes = hex::decode(&value.value).map_err(|error| unavailable(error.to_string()))?;
                    Ok((name, DeliveredSecret { version: value.version, value: SecretValue::new(bytes) }))
                })
                .collect(),
            Answer::Missing(name) => Err(SecretError::Missing { name }),
            Answer::NotAssigned => Err(SecretError::NotAssigned { instance: instance.clone() }),
            _ => Err(unavailable("a validator answered something else".to_owned())),
        }
    }
}

/// Certificates of hosts for a node that cannot open their keys itself.
pub(crate) struct RemoteCertificates(pub(crate) Arc<Asking>);

#[async_trait]
impl CertificateSource for RemoteCertificates {
    async fn certificates(&self) -> Result<Vec<ServedCertificate>, String> {
        match self.0.ask(&Ask::Certificates).await? {
            Answer::Served(served) => served
                .into_iter()
                .map(|one| {
                    let key = hex::decode(&one.key).map_err(|error| error.to_string())?;
                    Ok(ServedCertificate { host: one.host, chain: one.chain, key: SecretValue::new(key) })
                })
                .collect(),
            _ => Err("a validator answered something else".to_owned()),
        }
    }
}

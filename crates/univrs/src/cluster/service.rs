//! What nodes ask validators for, over the node RPC: certificates, secrets of their instances, and letting machines in.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use univrs_model::ids::InstanceId;
use univrs_model::member::{JoinReply, JoinRequest};
use univrs_model::name::Name;
use univrs_model::node::Role;
use univrs_model::secret::SecretVersion;
use univrs_ports::issuer::{CertificateSource, ServedCertificate};
use univrs_ports::programs::ProgramStanding;
use univrs_ports::secrets::{SecretError, SecretSource};
use univrs_store::wire::{Refused, Service};
use univrs_trust::{CertificateSigner, Peer};

use crate::cluster::port::Offers;
use crate::cluster::programs::AskProgram;

/// A question. Variants are only ever added.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    /// The next certificate for this request, in DER as hex.
    Renew {
        /// The request.
        request: String,
    },
    /// The values of the secrets of an instance of the asking node.
    Secrets {
        /// Which instance.
        instance: InstanceId,
    },
    /// Certificates of hosts with their private keys, for the ingress of a node that serves it.
    Certificates,
    /// Lets a machine in that came to a node which cannot decide.
    Join(Box<JoinRequest>),
    /// What a validator asks about the program of a node.
    Program(AskProgram),
}

/// An answer.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    /// A certificate in DER as hex.
    Certificate(String),
    /// Values by name.
    Secrets(BTreeMap<Name, Value>),
    /// Certificates of hosts.
    Served(Vec<Served>),
    /// What became of a join.
    Join(Box<JoinReply>),
    /// A secret that is not there.
    Missing(Name),
    /// The instance is not the asking node's.
    NotAssigned,
    /// How a node stands with its program, where that was asked.
    Program(Option<Box<ProgramStanding>>),
    /// Not now, or not here.
    Failed(String),
}

/// One value, for the node that may have it.
#[derive(Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) version: SecretVersion,
    /// As hex.
    pub(super) value: String,
}

/// A certificate with its key, for the node that may have it.
#[derive(Serialize, Deserialize)]
pub(super) struct Served {
    pub(super) host: String,
    pub(super) chain: String,
    /// As hex.
    pub(super) key: String,
}

/// Answers one member.
pub(super) struct ClusterService {
    offers: Arc<Offers>,
    peer: Peer,
}

impl ClusterService {
    pub(super) fn new(offers: Arc<Offers>, peer: Peer) -> Self {
        Self { offers, peer }
    }
}

impl Service for ClusterService {
    fn call(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Refused>> {
        let (offers, peer) = (Arc::clone(&self.offers), self.peer.clone());
        async move {
            let refused = |error: serde_json::Error| Refused(error.to_string());
            let ask: Ask = serde_json::from_slice(&body).map_err(refused)?;
            let answer = answer(&offers, &peer, ask).await;
            serde_json::to_vec(&answer).map(Bytes::from).map_err(refused)
        }
        .boxed()
    }

    fn open(&self, _: Bytes) -> Result<BoxStream<'static, Bytes>, Refused> {
        Err(Refused("there are no streams here".to_owned()))
    }
}

async fn answer(offers: &Offers, peer: &Peer, ask: Ask) -> Answer {
    let Some(late) = offers.late.get() else {
        return Answer::Failed("this node is still starting".to_owned());
    };
    match ask {
        Ask::Program(asked) => offers.programs.answer(peer, asked).await,
        Ask::Renew { request } => {
            let renewed = hex::decode(&request).map_err(|error| error.to_string()).and_then(|request| {
                let renewed = late.control.renew(&CertificateSigner, &peer.node, &request);
                renewed.map_err(|error| error.to_string())
            });
            match renewed {
                Ok(certificate) => Answer::Certificate(hex::encode(certificate)),
                Err(reason) => Answer::Failed(reason),
            }
        }
        Ask::Secrets { instance } => {
            let Some(secrets) = &late.secrets else {
                return Answer::Failed("this node is no validator".to_owned());
            };
            match secrets.secrets(&peer.node, &instance).await {
                Ok(delivered) => {
                    let values = delivered.into_iter().map(|(name, secret)| {
                        (name, Value { version: secret.version, value: hex::encode(secret.value.expose()) })
                    });
                    Answer::Secrets(values.collect())
                }
                Err(SecretError::Missing { name }) => Answer::Missing(name),
                Err(SecretError::NotAssigned { .. }) => Answer::NotAssigned,
                Err(SecretError::Unavailable { reason }) => Answer::Failed(reason),
            }
        }
        Ask::Certificates => {
            // A machine that only runs workloads may be anybody's.
            if !peer.roles.iter().any(|role| matches!(role, Role::Validator | Role::Business)) {
                return Answer::Failed(
                    "a node that only runs workloads gets no certificates of hosts".to_owned(),
                );
            }
            let Some(certificates) = &late.certificates else {
                return Answer::Failed("this node is no validator".to_owned());
            };
            match certificates.certificates().await {
                Ok(served) => {
                    let plain = |one: ServedCertificate| Served {
                        key: hex::encode(one.key.expose()),
                        host: one.host,
                        chain: one.chain,
                    };
                    Answer::Served(served.into_iter().map(plain).collect())
                }
                Err(reason) => Answer::Failed(reason),
            }
        }
        // Not passed on once more: whoever asks looks for a validator itself.
        Ask::Join(request) => Answer::Join(Box::new(late.control.join(&CertificateSigner, &request).await)),
    }
}

/// Lets a machine in, here or through a validator.
pub(super) async fn join(offers: &Offers, request: JoinRequest) -> JoinReply {
    let is_validator = offers
        .trust
        .credentials()
        .and_then(|credentials| credentials.peer().ok())
        .is_some_and(|own| own.roles.contains(&Role::Validator));
    match offers.late.get() {
        None => JoinReply::Later { reason: "the node that was asked is still starting".to_owned() },
        Some(late) if is_validator => late.control.join(&CertificateSigner, &request).await,
        Some(_) => match offers.asking.ask(&Ask::Join(Box::new(request))).await {
            Ok(Answer::Join(reply)) => *reply,
            Ok(_) => JoinReply::Later { reason: "a validator answered something else".to_owned() },
            Err(reason) => JoinReply::Later { reason },
        },
    }
}

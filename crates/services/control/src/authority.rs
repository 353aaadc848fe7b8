//! The cluster's authority: made at bootstrap, kept sealed in the state, opened by validators for one signature at a
//! time.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::{ClusterId, NodeId, SecretId};
use univrs_model::keys;
use univrs_model::member::{AuthorityRecord, Member, Membership};
use univrs_model::name::Name;
use univrs_model::node::Role;
use univrs_model::secret::{Binding, SecretValue, SecretVersion, ValidatorKey};
use univrs_ports::authority::{Authority, AuthorityError, Issued, Signer, Subject};
use univrs_ports::seal::SealError;
use univrs_ports::store::{Guard, Op, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::record::{Record, put, unchanged};
use crate::state::State;

/// In whose name the authority's key is sealed. Its data key is its own, so no secret of an organisation of this name
/// could be mistaken for it.
const OWNER: &str = "cluster";
/// What the sealed key is called.
const NAME: &str = "authority";

/// What a new cluster begins with.
pub struct Founding {
    /// The cluster.
    pub cluster: ClusterId,
    /// The authority's certificate in DER.
    pub certificate: Vec<u8>,
    /// The authority's key in PKCS #8.
    pub key: SecretValue,
    /// The first member.
    pub founder: Member,
    /// What all joins share.
    pub membership: Membership,
}

fn names() -> Result<(Name, Name), Error> {
    let parse = |text: &str| {
        text.parse::<Name>().map_err(|_| Error::Conflict {
            what: format!("`{text}` is no name"),
            reason: "this program is at fault".to_owned(),
            hint: None,
        })
    };
    Ok((parse(OWNER)?, parse(NAME)?))
}

fn unusable(reason: String) -> Error {
    AuthorityError::Unusable { reason }.into()
}

impl Control {
    /// Whether the cluster has an authority.
    pub fn has_authority(&self) -> bool {
        self.mirror.state().authority.is_some()
    }

    /// The authority's certificate in DER.
    ///
    /// # Errors
    /// When there is no authority.
    pub fn authority_certificate(&self) -> Result<Vec<u8>, Error> {
        let state = self.mirror.state();
        hex::decode(&authority_of(&state)?.certificate).map_err(|error| unusable(error.to_string()))
    }

    /// Keeps the keys that validators need wrapped to all of them, until `shutdown`: another validator may have come,
    /// or left. Every validator runs this, for only one that can open a key can share it.
    pub async fn keep_keys_shared(self, shutdown: CancellationToken) {
        let mut states = self.mirror.subscribe();
        let mut done = None;
        loop {
            let validators = states.borrow_and_update().validator_keys();
            if done.as_ref() != Some(&validators) {
                let shared = async {
                    self.share_data_keys().await?;
                    self.share_authority().await
                };
                match shared.await {
                    Ok(()) => done = Some(validators),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "keys could not be shared with all validators; trying again"
                        );
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        states.mark_changed();
                    }
                }
            }
            if !matches!(shutdown.run_until_cancelled(states.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }

    /// Writes down a new cluster's authority and first member, once.
    ///
    /// # Errors
    /// When the key cannot be sealed or the store fails.
    pub async fn found(&self, founding: Founding) -> Result<(), Error> {
        let (org, name) = names()?;
        let validators = BTreeMap::from([(founding.founder.node.clone(), self.sealer.public_key())]);
        let now = self.clock.now();
        let key = self.sealer.new_data_key(&org, &validators, now)?;
        let version = SecretVersion { secret: SecretId::from_bits(rand::random()), version: 1 };
        let binding = Binding { org: &org, name: &name, version: &version };
        let sealed = self.sealer.seal(&key, &binding, &founding.key)?;
        let record =
            AuthorityRecord { certificate: hex::encode(&founding.certificate), key, sealed, version };
        let outcome = self
            .commit_for(
                None,
                Write {
                    caller: Caller::control("bootstrap", Name::default_org()),
                    allowed_by: "bootstrap".to_owned(),
                    action: Action::NodeWrite,
                    object: "cluster".to_owned(),
                    summary: format!("made the authority of cluster {}", founding.cluster),
                    guards: vec![unchanged(keys::AUTHORITY.to_owned(), None)?],
                    ops: vec![
                        put(keys::AUTHORITY.to_owned(), &record)?,
                        put(keys::MEMBERSHIP.to_owned(), &founding.membership)?,
                        put(keys::member(&founding.founder.node), &founding.founder)?,
                    ],
                    event: None,
                },
            )
            .await?;
        if let TxnOutcome::Committed { revision } = outcome {
            self.mirror.at_least(revision).await;
        }
        Ok(())
    }

    /// Signs a request for a certificate with the authority's key.
    ///
    /// # Errors
    /// When this node cannot open the key, or the request is not one.
    pub(crate) fn issue(
        &self,
        state: &State,
        signer: &dyn Signer,
        request: &[u8],
        node: &NodeId,
        roles: &[Role],
    ) -> Result<(Issued, Vec<u8>), Error> {
        let record = authority_of(state)?;
        let (org, name) = names()?;
        let binding = Binding { org: &org, name: &name, version: &record.version };
        let key = self.sealer.open(&record.key, &binding, &record.sealed)?;
        let certificate = hex::decode(&record.certificate).map_err(|error| unusable(error.to_string()))?;
        let cluster =
            state.cluster.as_ref().ok_or_else(|| unusable("the cluster has no identity".to_owned()))?;
        let authority = Authority { cluster: &cluster.id, certificate: &certificate, key: key.expose() };
        let issued = signer.issue(&authority, request, &Subject { node, roles, now: self.clock.now() })?;
        Ok((issued, certificate))
    }

    /// The next certificate of a member, for the key that it has always had.
    ///
    /// # Errors
    /// When it is no member, asks for another key, or this node cannot open the authority's key.
    pub fn renew(&self, signer: &dyn Signer, node: &NodeId, request: &[u8]) -> Result<Vec<u8>, Error> {
        let state = self.mirror.state();
        let member = state.members.get(node).filter(|member| member.removed_at.is_none());
        let member =
            member.ok_or_else(|| Error::NotFound { kind: "member", name: node.to_string(), near: None })?;
        let (issued, _) = self.issue(&state, signer, request, node, &member.roles)?;
        if hex::encode(&issued.public_key) != member.public_key {
            return Err(Error::Conflict {
                what: format!("node {node} gets no certificate"),
                reason: "its key is not the one it joined with".to_owned(),
                hint: Some("remove the node and let it join anew, with an empty data directory".to_owned()),
            });
        }
        Ok(issued.certificate)
    }

    /// Wraps the authority's data key to validators that came since, and away from those that left.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn share_authority(&self) -> Result<(), Error> {
        let state = self.mirror.state();
        let Some((guard, op)) = self.shared_authority(&state, &state.validator_keys())? else {
            return Ok(());
        };
        // A lost race means that another validator has just done it.
        self.store.txn(Txn { request: None, guards: vec![guard], ops: vec![op] }).await?;
        Ok(())
    }

    /// The write that wraps the authority's key to exactly `validators`; nothing when it is so, or when another
    /// validator has to do it.
    pub(crate) fn shared_authority(
        &self,
        state: &State,
        validators: &BTreeMap<NodeId, ValidatorKey>,
    ) -> Result<Option<(Guard, Op)>, Error> {
        let Some(record) = &state.authority else { return Ok(None) };
        if record.key.wrapped.keys().eq(validators.keys()) || validators.is_empty() {
            return Ok(None);
        }
        let key = match self.sealer.share(&record.key, validators) {
            Err(SealError::NotShared { .. }) => return Ok(None),
            shared => shared?,
        };
        let shared = AuthorityRecord { key, ..AuthorityRecord::clone(record) };
        let at = keys::AUTHORITY.to_owned();
        Ok(Some((unchanged(at.clone(), Some(record.revision))?, put(at, &shared)?)))
    }
}

pub(crate) fn authority_of(state: &State) -> Result<&Record<AuthorityRecord>, Error> {
    state.authority.as_ref().ok_or_else(|| unusable("the cluster has none".to_owned()))
}

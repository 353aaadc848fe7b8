//! Join tokens: making, listing and ending them. [`crate::joining`] takes them.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::{JoinTokenId, matches_prefix};
use univrs_model::join::{Fingerprint, JoinGrant, JoinToken, JoinTokenSpec, JoinTokenView, NewJoinToken};
use univrs_model::keys;
use univrs_ports::store::{Op, Revision, StateStore, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions, check_revision};
use crate::record::{Record, delete, put, unchanged};
use crate::state::State;

/// How long tokens are listed after their end.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// The longest that a join token may be good for.
const LONGEST: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

impl Control {
    /// The join tokens, the newest first.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_join_tokens(&self, caller: &Caller) -> Result<(Vec<JoinTokenView>, Revision), Error> {
        self.allow(caller, Action::NodeRead, "join_token")?;
        let state = self.mirror.state();
        let now = self.clock.now();
        let mut views: Vec<JoinTokenView> =
            state.join_grants.values().map(|grant| view(grant, now)).collect();
        views.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok((views, state.revision))
    }

    /// Makes a join token; its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the caller may not, or the cluster has no authority.
    pub async fn create_join_token(
        &self,
        caller: &Caller,
        spec: &JoinTokenSpec,
        options: &WriteOptions,
    ) -> Result<NewJoinToken, Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, "join_token")?;
        let mut roles = spec.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        let now = self.clock.now();
        let ttl = jiff::SignedDuration::from(spec.ttl);
        if roles.is_empty() {
            return Err(Error::field(FieldError::new("roles", "a machine needs a role to join as")));
        }
        if ttl.is_zero() || ttl > LONGEST {
            let fault =
                FieldError::new("ttl", "a join token is good for more than no time and at most 30 days");
            return Err(Error::field(fault.hint("write `15m`")));
        }
        if spec.uses == 0 {
            return Err(Error::field(FieldError::new("uses", "a join token lets at least one machine in")));
        }
        if let Some(id) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return Err(Error::Conflict {
                what: format!("join token {id} cannot be shown again"),
                reason: "an earlier request with this Idempotency-Key made it".to_owned(),
                hint: Some(format!("revoke {id} and make another")),
            });
        }
        let certificate = self.authority_certificate()?;
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let grant = JoinGrant {
            id: JoinTokenId::from_bits(rand::random()),
            secret_sha256: hex::encode(Sha256::digest(secret.as_bytes())),
            roles: roles.clone(),
            expires_at: now.checked_add(ttl).unwrap_or(Timestamp::MAX),
            uses_left: spec.uses,
            created_by: caller.clone(),
            created_at: now,
        };
        let at = keys::join_token(&grant.id);
        let mut guards = vec![unchanged(at.clone(), None)?];
        let mut ops = vec![put(at, &grant)?];
        self.remember(&caller.org, options.idempotency.as_ref(), grant.id.as_str(), &mut guards, &mut ops)?;
        let named: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::NodeWrite,
            object: format!("join_token/{}", grant.id),
            summary: format!("made join token {} for {} as {}", grant.id, spec.uses, named.join(", ")),
            guards,
            ops,
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                let authority = Fingerprint(Sha256::digest(&certificate).into());
                let token = JoinToken { roles, authority, id: grant.id.clone(), secret }.reveal();
                let record = Record { value: Arc::new(grant), revision };
                Ok(NewJoinToken { view: view(&record, now), token })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "join token", name: grant.id.to_string() })
            }
        }
    }

    /// Ends a join token, named by its id or a unique prefix of it. Who joined with it stays.
    ///
    /// # Errors
    /// When it does not exist, or the caller may not, or read an older revision.
    pub async fn revoke_join_token(
        &self,
        caller: &Caller,
        wanted: &str,
        options: &WriteOptions,
    ) -> Result<(), Error> {
        let allowed_by = self.allow(caller, Action::NodeWrite, &format!("join_token/{wanted}"))?;
        let state = self.mirror.state();
        let named: Vec<&Record<JoinGrant>> =
            state.join_grants.values().filter(|grant| matches_prefix(grant.id.as_str(), wanted)).collect();
        let grant = match named.as_slice() {
            [grant] => *grant,
            [] => return Err(Error::NotFound { kind: "join token", name: wanted.to_owned(), near: None }),
            several => {
                return Err(Error::Ambiguous {
                    kind: "join token",
                    name: wanted.to_owned(),
                    candidates: several
                        .iter()
                        .map(|grant| grant.id.to_string())
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            }
        };
        check_revision("join token", wanted, options.if_revision, grant.revision)?;
        let at = keys::join_token(&grant.id);
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::NodeWrite,
            object: format!("join_token/{}", grant.id),
            summary: format!("revoked join token {}", grant.id),
            guards: vec![unchanged(at.clone(), Some(grant.revision))?],
            ops: vec![delete(at)?],
            event: None,
        };
        match self.commit(write).await? {
            TxnOutcome::Committed { revision } => {
                self.mirror.at_least(revision).await;
                Ok(())
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "join token", name: wanted.to_owned() })
            }
        }
    }
}

fn view(grant: &Record<JoinGrant>, now: Timestamp) -> JoinTokenView {
    JoinTokenView {
        id: grant.id.clone(),
        roles: grant.roles.clone(),
        usable: grant.uses_left > 0 && now < grant.expires_at,
        uses_left: grant.uses_left,
        expires_at: grant.expires_at,
        revision: grant.revision.0,
        created_at: grant.created_at,
    }
}

/// Deletes the records of tokens that ended a day ago, and of members that were removed then: their certificates are
/// dead by themselves. Called now and then.
///
/// # Errors
/// When the store fails.
pub(crate) async fn forget_ended(
    store: &Arc<dyn StateStore>,
    state: &State,
    now: Timestamp,
) -> Result<usize, Error> {
    let long_ago = |at: Timestamp| now.duration_since(at) > REMEMBERED;
    let tokens = state.join_grants.values().filter(|grant| long_ago(grant.expires_at));
    let tokens = tokens.map(|grant| delete(keys::join_token(&grant.id)));
    let members = state.members.values().filter(|member| member.removed_at.is_some_and(long_ago));
    let members = members.map(|member| delete(keys::member(&member.node)));
    let ops: Vec<Op> = tokens.chain(members).take(1000).collect::<Result<_, _>>()?;
    let count = ops.len();
    if count > 0 {
        store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
    }
    Ok(count)
}

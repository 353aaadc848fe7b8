//! API tokens: making, listing and ending them, and finding the caller that one stands for.
//!
//! A token reads `univrs_<id>_<secret>`: easy to find where it should not be. The secret is 256 random bits, shown
//! once. Its SHA-256 is what is stored: with so many bits there is nothing to guess, so no slow hash is needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use univrs_authz::Action;
use univrs_diagnose::ExpiredToken;
use univrs_model::Timestamp;
use univrs_model::caller::{Caller, Principal};
use univrs_model::field::FieldError;
use univrs_model::ids::{TokenId, matches_prefix};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::token::{NewToken, Token, TokenSpec, TokenState, TokenView};
use univrs_ports::store::{Op, Revision, StateStore, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write, WriteOptions, check_revision};
use crate::record::{Record, delete, put, unchanged};
use crate::state::State;

/// What every token begins with.
const PREFIX: &str = "univrs_";
/// How long tokens are listed after their end.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);
/// The longest sleep until a token expires: a clock that was set is noticed then.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A token that was presented within this time is in use.
const IN_USE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// When this process last saw each token. Not in the replicated state: a write per request would be too much.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings {
    taken: Arc<Mutex<BTreeMap<TokenId, Timestamp>>>,
    /// Those that came after their end. Only who knows a token's secret gets in here.
    late: Arc<Mutex<BTreeMap<TokenId, Timestamp>>>,
}

fn lock(
    sightings: &Mutex<BTreeMap<TokenId, Timestamp>>,
) -> std::sync::MutexGuard<'_, BTreeMap<TokenId, Timestamp>> {
    sightings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes it, and forgets what is no token any more when there is more to know than there are tokens.
fn note(sightings: &Mutex<BTreeMap<TokenId, Timestamp>>, id: &TokenId, at: Timestamp, state: &State) {
    let mut seen = lock(sightings);
    seen.insert(id.clone(), at);
    if seen.len() > state.tokens.len() {
        seen.retain(|id, _| state.tokens.contains_key(id));
    }
}

impl Sightings {
    fn saw(&self, id: &TokenId, at: Timestamp, state: &State) {
        note(&self.taken, id, at, state);
    }

    fn saw_late(&self, id: &TokenId, at: Timestamp, state: &State) {
        note(&self.late, id, at, state);
    }

    fn last(&self, id: &TokenId) -> Option<Timestamp> {
        lock(&self.taken).get(id).copied()
    }

    fn late_since(&self, since: Timestamp) -> Vec<(TokenId, Timestamp)> {
        let mut late = lock(&self.late);
        late.retain(|_, at| *at >= since);
        late.iter().map(|(id, at)| (id.clone(), *at)).collect()
    }
}

impl Control {
    /// Who holds the token `presented`.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason when it is not good.
    pub fn authenticate(&self, presented: &str) -> Result<Principal, Error> {
        let fail = |reason: String| Err(Error::Unauthenticated { reason });
        let Some((id, secret)) = parts(presented) else {
            return fail(format!("it does not read `{PREFIX}<id>_<secret>`"));
        };
        let state = self.mirror.state();
        let matches = |token: &Token| {
            let (given, kept) = (digest(secret), token.secret_sha256.as_bytes());
            bool::from(given.as_bytes().ct_eq(kept))
        };
        // Whoever does not know the secret learns nothing about the token.
        let Some(token) = state.tokens.get(&id).filter(|token| matches(token)) else {
            return fail(format!("this cluster does not know {id} with that secret"));
        };
        let now = self.clock.now();
        if let Some(at) = token.revoked_at {
            return fail(format!("{id} was revoked at {at}"));
        }
        if let Some(at) = token.expires_at.filter(|at| *at <= now) {
            self.sightings.saw_late(&id, now, &state);
            return fail(format!("{id} expired at {at}"));
        }
        self.sightings.saw(&id, now, &state);
        Ok(Principal::Token { id, grant: token.grant, direct: token.direct, org: token.org.clone() })
    }

    /// Returns when the caller's token is no longer good, so that what it opened can be closed; never for other
    /// callers.
    pub async fn until_ended(&self, caller: &Caller) {
        let Principal::Token { id, .. } = &caller.principal else { return std::future::pending().await };
        let mut states = self.mirror.subscribe();
        loop {
            let token = states.borrow_and_update().tokens.get(id).cloned();
            let now = self.clock.now();
            let Some(token) = token.filter(|token| token.state(now) == TokenState::Active) else { return };
            let left = token.expires_at.map(|at| Duration::try_from(at.duration_since(now)));
            let sleep = left.map_or(LONGEST_SLEEP, |left| left.unwrap_or_default().min(LONGEST_SLEEP));
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// The tokens of the caller's organisation, and those of the cluster for who may see them, by name.
    ///
    /// # Errors
    /// When the caller may not read them.
    pub fn list_tokens(&self, caller: &Caller) -> Result<(Vec<TokenView>, Revision), Error> {
        self.allow(caller, Action::TokenRead, "token")?;
        let state = self.mirror.state();
        let mut views: Vec<TokenView> =
            self.visible(&state, caller).map(|token| self.token_view(token)).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok((views, state.revision))
    }

    /// One token, by name, id or unique prefix of its id.
    ///
    /// # Errors
    /// When it does not exist or the caller may not read it.
    pub fn get_token(&self, caller: &Caller, wanted: &str) -> Result<TokenView, Error> {
        self.allow(caller, Action::TokenRead, &format!("token/{wanted}"))?;
        Ok(self.token_view(&self.find_token(&self.mirror.state(), caller, wanted)?))
    }

    /// Makes a token; its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the caller may not, or the request is a repetition: the text cannot be shown again.
    pub async fn create_token(
        &self,
        caller: &Caller,
        spec: &TokenSpec,
        options: &WriteOptions,
    ) -> Result<NewToken, Error> {
        let org = owner_of(spec, caller);
        let object = format!("token/{}", spec.name);
        let allowed_by = self.allow_for(org.as_ref(), caller, Action::TokenWrite, &object)?;
        check_spec(spec)?;
        if let Some(id) = self.remembered(&caller.org, options.idempotency.as_ref()).await? {
            return Err(shown_already(&id));
        }
        let now = self.clock.now();
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let token = Token {
            id: TokenId::from_bits(rand::random()),
            name: spec.name.clone(),
            grant: spec.grant,
            direct: spec.direct,
            org: org.clone(),
            budget: spec.budget,
            approval: spec.approval,
            secret_sha256: digest(&secret),
            created_at: now,
            expires_at: spec.ttl.and_then(|ttl| now.checked_add(jiff::SignedDuration::from(ttl)).ok()),
            revoked_at: None,
        };
        let at = keys::token(&token.id);
        let mut guards = vec![unchanged(at.clone(), None)?];
        let mut ops = vec![put(at, &token)?];
        let idempotency = options.idempotency.as_ref();
        self.remember(&caller.org, idempotency, token.id.as_str(), &mut guards, &mut ops)?;
        let whose =
            org.as_ref().map_or_else(|| "the cluster".to_owned(), |org| format!("organisation {org}"));
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::TokenWrite,
            object,
            summary: format!("made token {} of {whose} that grants {:?}", token.id, token.grant)
                .to_lowercase(),
            guards,
            ops,
            event: None,
        };
        match self.commit_for(org.as_ref(), write).await? {
            TxnOutcome::Committed { revision } => {
                // The token is good as soon as its maker has it.
                self.mirror.at_least(revision).await;
                let text = format!("{PREFIX}{}_{secret}", token.id);
                let record = Record { value: Arc::new(token), revision };
                Ok(NewToken { view: self.token_view(&record), token: text })
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "token", name: spec.name.to_string() })
            }
        }
    }

    /// Ends a token. One that was ended already stays as it is.
    ///
    /// # Errors
    /// When it does not exist, or the caller may not, or read an older revision.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        wanted: &str,
        options: &WriteOptions,
    ) -> Result<TokenView, Error> {
        self.allow(caller, Action::TokenWrite, &format!("token/{wanted}"))?;
        let token = self.find_token(&self.mirror.state(), caller, wanted)?;
        let object = format!("token/{}", token.name);
        let allowed_by = self.allow_for(token.org.as_ref(), caller, Action::TokenWrite, &object)?;
        check_revision("token", wanted, options.if_revision, token.revision)?;
        if token.revoked_at.is_some() {
            return Ok(self.token_view(&token));
        }
        let at = keys::token(&token.id);
        let revoked = Token { revoked_at: Some(self.clock.now()), ..Token::clone(&token) };
        let write = Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::TokenWrite,
            object,
            summary: format!("revoked token {}", token.id),
            guards: vec![unchanged(at.clone(), Some(token.revision))?],
            ops: vec![put(at, &revoked)?],
            event: None,
        };
        match self.commit_for(token.org.as_ref(), write).await? {
            TxnOutcome::Committed { revision } => {
                // Once this is answered, the token is good nowhere on this node.
                self.mirror.at_least(revision).await;
                Ok(self.token_view(&Record { value: Arc::new(revoked), revision }))
            }
            TxnOutcome::GuardFailed { .. } => {
                Err(Error::Contended { kind: "token", name: wanted.to_owned() })
            }
        }
    }

    /// The caller's tokens that somebody used at this node after their end, and that no other of their name replaces.
    pub(crate) fn expired_in_use(&self, caller: &Caller) -> Vec<ExpiredToken> {
        let now = self.clock.now();
        let late = self.sightings.late_since(now.saturating_sub(IN_USE).unwrap_or(now));
        if late.is_empty() {
            return Vec::new();
        }
        let state = self.mirror.state();
        let visible: Vec<&Record<Token>> = self.visible(&state, caller).collect();
        let replaced = |token: &Token| {
            visible.iter().any(|one| one.name == token.name && one.state(now) == TokenState::Active)
        };
        let seen = late.into_iter().filter_map(|(id, presented_at)| {
            let token = visible.iter().find(|token| token.id == id)?;
            let expired_at = token.expires_at.filter(|_| token.state(now) == TokenState::Expired)?;
            let (name, grant) = (token.name.clone(), token.grant);
            (!replaced(token)).then_some(ExpiredToken { id, name, grant, expired_at, presented_at })
        });
        seen.collect()
    }

    /// The tokens that concern the caller: those of its organisation, and those of the cluster if it may see them.
    fn visible<'a>(&self, state: &'a State, caller: &Caller) -> impl Iterator<Item = &'a Record<Token>> {
        let sees_cluster = self.allow_for(None, caller, Action::TokenRead, "token").is_ok();
        let own = caller.org.clone();
        state.tokens.values().filter(move |token| match &token.org {
            Some(org) => *org == own,
            None => sees_cluster,
        })
    }

    fn find_token(&self, state: &State, caller: &Caller, wanted: &str) -> Result<Record<Token>, Error> {
        let named: Vec<&Record<Token>> = self
            .visible(state, caller)
            .filter(|token| token.name.as_str() == wanted || matches_prefix(token.id.as_str(), wanted))
            .collect();
        match named.as_slice() {
            [token] => Ok((*token).clone()),
            [] => Err(Error::NotFound { kind: "token", name: wanted.to_owned(), near: None }),
            several => Err(Error::Ambiguous {
                kind: "token",
                name: wanted.to_owned(),
                candidates: several.iter().map(|token| token.id.to_string()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn token_view(&self, token: &Record<Token>) -> TokenView {
        TokenView {
            id: token.id.clone(),
            name: token.name.clone(),
            grant: token.grant,
            direct: token.direct,
            org: token.org.clone(),
            budget: token.budget,
            approval: token.approval,
            state: token.state(self.clock.now()),
            revision: token.revision.0,
            created_at: token.created_at,
            updated_at: token.revoked_at.unwrap_or(token.created_at),
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: self.sightings.last(&token.id),
        }
    }
}

/// Deletes the records of tokens that ended long ago. Called now and then.
///
/// # Errors
/// When the store fails.
pub(crate) async fn forget_ended(
    store: &Arc<dyn StateStore>,
    state: &State,
    now: Timestamp,
) -> Result<usize, Error> {
    let long_ago = |token: &&Record<Token>| {
        token.ended_at(now).is_some_and(|ended| now.duration_since(ended) > REMEMBERED)
    };
    let ops: Vec<Op> = state
        .tokens
        .values()
        .filter(long_ago)
        .take(500)
        .flat_map(|token| [delete(keys::token(&token.id)), delete(keys::token_use(&token.id))])
        .collect::<Result<_, _>>()?;
    let count = ops.len() / 2;
    if count > 0 {
        store.txn(Txn { request: None, guards: Vec::new(), ops }).await?;
    }
    Ok(count)
}

/// The id and the secret of a token's text.
fn parts(text: &str) -> Option<(TokenId, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.rsplit_once('_')?;
    Some((id.parse().ok()?, secret))
}

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn owner_of(spec: &TokenSpec, caller: &Caller) -> Option<Name> {
    (!spec.cluster_wide).then(|| caller.org.clone())
}

fn check_spec(spec: &TokenSpec) -> Result<(), Error> {
    match spec.ttl {
        Some(ttl) if ttl.as_millis() == 0 => {
            let fault = FieldError::new("ttl", "a token is good for more than no time");
            Err(Error::field(fault.hint("write `24h`, or leave it out for a token without an end")))
        }
        _ => Ok(()),
    }
}

/// A repeated request cannot be answered as the first was.
fn shown_already(id: &str) -> Error {
    Error::Conflict {
        what: format!("token {id} cannot be shown again"),
        reason: "an earlier request with this Idempotency-Key made it".to_owned(),
        hint: Some(format!("revoke {id} and make another")),
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::TokenId;

    use super::{digest, parts};

    #[test]
    fn a_token_is_taken_apart_as_it_was_put_together() {
        let id = TokenId::from_bits(12345);
        let text = format!("univrs_{id}_abc");
        assert_eq!(parts(&text), Some((id, "abc")));
        for bad in ["", "univrs_", "univrs_tk_abc", "univrs_nd_2222_abc", "tk_2222_abc", "univrs__x"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

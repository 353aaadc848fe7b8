//! Certificates of the ingress: ordered and renewed by a loop on the leader (`univrs_certify` decides), handed to
//! nodes (`serving.rs`), and what faces show of them (`faces.rs`).
//!
//! An attempt is written down before the authority is asked, and its outcome is guarded by that write. So two leaders
//! never order for the same host, and one that was cut off in between changes nothing any more.

mod faces;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use univrs_certify::{LONGEST_ORDER, Picture, Step, decide, next_attempt};
use univrs_model::certificate::{Attempt, Certificate, Challenge, Issued, IssuerAccount};
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::ids::SecretId;
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::secret::{Binding, SecretValue, SecretVersion};
use univrs_ports::issuer::{Board, Issuer, IssuerError, NewCertificate};
use univrs_ports::store::{Guard, Op, Revision, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::Control;
use crate::record::{delete, put, unchanged};
use crate::state::State;
use crate::view;

pub use serving::LocalCertificates;

/// How often the picture is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long an answer is there before the authority is told to ask: other nodes follow within that.
const SPREAD: Duration = Duration::from_secs(2);
/// How long an order may take here: less than until others take it for lost.
const PATIENCE: Duration = Duration::from_secs(8 * 60);
/// Answers this old are of orders that nobody ended.
const STALE: SignedDuration = SignedDuration::from_hours(1);
/// The longest token that is taken into a key of the store.
const LONGEST_TOKEN: usize = 200;

/// What the private key of a certificate is sealed in the name of; the account's is sealed in another.
const CERTIFICATE: &str = "certificate";
const ACCOUNT: &str = "acme-account";

pub(crate) fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|_| Error::Conflict {
        what: format!("`{text}` is no name"),
        reason: "this program is at fault".to_owned(),
        hint: None,
    })
}

fn in_no_time(error: impl std::fmt::Display) -> IssuerError {
    IssuerError { reason: error.to_string(), retry_after: None, unknown_account: false }
}

/// Orders certificates for the hosts that want them, and renews them.
#[derive(Clone)]
pub struct CertificateUpkeep {
    control: Control,
    issuer: Arc<dyn Issuer>,
    /// Spreads renewals and further attempts.
    seed: u64,
}

/// An order that is this process's to carry out.
struct Begun {
    certificate: Certificate,
    revision: Revision,
}

impl CertificateUpkeep {
    /// A loop that reads and writes through `control` and asks `issuer`.
    pub fn new(control: Control, issuer: Arc<dyn Issuer>) -> Self {
        Self { control, issuer, seed: rand::random() }
    }

    /// Runs until `shutdown`; begins orders while `leading`.
    pub async fn run(self, leading: watch::Receiver<bool>, shutdown: CancellationToken) {
        let mut orders = JoinSet::new();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
                Some(_) = orders.join_next(), if !orders.is_empty() => {}
            }
            if !*leading.borrow() {
                continue;
            }
            match self.look().await {
                Ok(begun) => {
                    for one in begun {
                        let this = self.clone();
                        orders.spawn(async move { this.carry_out(one).await });
                    }
                }
                Err(error) => tracing::warn!(%error, "certificates are looked at again"),
            }
        }
    }

    /// Does what is due at once, and begins the orders that are.
    async fn look(&self) -> Result<Vec<Begun>, Error> {
        let state = self.control.mirror.state();
        let now = self.control.clock.now();
        let known = state.certificates.iter().map(|(host, record)| (host.clone(), &*record.value));
        let picture = Picture {
            wanted: view::certified_hosts(&state),
            known: known.collect(),
            directory: self.issuer.directory(),
            seed: self.seed,
        };
        let mut begun = Vec::new();
        for step in decide(&picture, now) {
            match step {
                Step::Order { host, org } => begun.extend(self.begin(&state, host, org).await?),
                Step::Forget { host } => {
                    let revision = state.certificates.get(&host).map(|known| known.revision);
                    let at = keys::certificate(&host);
                    self.write(vec![unchanged(at.clone(), revision)?], vec![delete(at)?]).await?;
                }
            }
        }
        for (token, _) in state.challenges.iter().filter(|(_, one)| now.duration_since(one.made_at) > STALE) {
            self.write(Vec::new(), vec![delete(keys::challenge(token))?]).await?;
        }
        Ok(begun)
    }

    /// Writes; the revision, unless a condition did not hold.
    async fn write(&self, guards: Vec<Guard>, ops: Vec<Op>) -> Result<Option<Revision>, Error> {
        match self.control.store.txn(Txn { request: None, guards, ops }).await? {
            TxnOutcome::Committed { revision } => {
                self.control.mirror.at_least(revision).await;
                Ok(Some(revision))
            }
            TxnOutcome::GuardFailed { .. } => Ok(None),
        }
    }

    async fn begin(&self, state: &State, host: String, org: Name) -> Result<Option<Begun>, Error> {
        let known = state.certificates.get(&host);
        let now = self.control.clock.now();
        let own = known.filter(|known| known.org == org);
        let before = own.and_then(|known| known.attempt.clone());
        let attempt = Attempt {
            begun_at: now,
            failures: before.as_ref().map_or(0, |before| before.failures),
            next_at: now,
            busy_until: Some(now.checked_add(LONGEST_ORDER).unwrap_or(now)),
            error: before.and_then(|before| before.error),
        };
        let issued = own.and_then(|known| known.issued.clone());
        let certificate = Certificate { host: host.clone(), org, issued, attempt: Some(attempt) };
        let at = keys::certificate(&host);
        let guards = vec![unchanged(at.clone(), known.map(|known| known.revision))?];
        let written = self.write(guards, vec![put(at, &certificate)?]).await?;
        Ok(written.map(|revision| Begun { certificate, revision }))
    }

    async fn carry_out(&self, begun: Begun) {
        let host = begun.certificate.host.clone();
        let obtained = tokio::time::timeout(PATIENCE, self.obtain(&host)).await;
        let obtained =
            obtained.unwrap_or_else(|_| Err(in_no_time("the authority did not end the order in time")));
        if let Err(error) = self.settle(begun, obtained).await {
            tracing::warn!(host, %error, "the outcome of an order could not be written");
        }
    }

    async fn obtain(&self, host: &str) -> Result<NewCertificate, IssuerError> {
        let account = self.account().await?;
        let board = Shown { upkeep: self, host };
        let issued = self.issuer.issue(&account, host, &board).await;
        if issued.as_ref().is_err_and(|error| error.unknown_account) {
            // The next attempt makes another.
            let known = self.control.mirror.state().issuer_account.as_ref().map(|known| known.revision);
            let forget = async {
                let at = keys::ISSUER_ACCOUNT.to_owned();
                self.write(vec![unchanged(at.clone(), known)?], vec![delete(at)?]).await
            };
            forget.await.map_err(in_no_time)?;
        }
        issued
    }

    /// The credentials of the account, made when there are none for this authority.
    async fn account(&self) -> Result<SecretValue, IssuerError> {
        let state = self.control.mirror.state();
        let (org, account) = (Name::default_org(), name(ACCOUNT).map_err(in_no_time)?);
        let known = state.issuer_account.as_ref();
        if let Some(known) = known.filter(|known| known.directory == self.issuer.directory())
            && let Some(key) = state.data_keys.get(&known.key)
        {
            let binding = Binding { org: &org, name: &account, version: &known.version };
            match self.control.sealer.open(key, &binding, &known.sealed) {
                Ok(credentials) => return Ok(credentials),
                Err(error) => tracing::warn!(%error, "the account cannot be opened; making another"),
            }
        }
        let credentials = self.issuer.register().await?;
        let seal = || {
            let at = keys::ISSUER_ACCOUNT.to_owned();
            let mut guards = vec![unchanged(at.clone(), known.map(|known| known.revision))?];
            let mut ops = Vec::new();
            let key = self.control.data_key(&state, &org, &mut guards, &mut ops)?;
            let version = SecretVersion { secret: SecretId::from_bits(rand::random()), version: 1 };
            let binding = Binding { org: &org, name: &account, version: &version };
            let sealed = self.control.sealer.seal(&key, &binding, &credentials)?;
            let made = IssuerAccount {
                directory: self.issuer.directory().to_owned(),
                created_at: self.control.clock.now(),
                version,
                key: key.id.clone(),
                sealed,
            };
            ops.push(put(at, &made)?);
            Ok::<_, Error>((guards, ops))
        };
        let (guards, ops) = seal().map_err(in_no_time)?;
        // Another order may have made one at the same time; this one is good all the same.
        self.write(guards, ops).await.map_err(in_no_time)?;
        Ok(credentials)
    }

    /// Writes down how an order ended, with its event; nothing when it is somebody else's by now.
    async fn settle(&self, begun: Begun, obtained: Result<NewCertificate, IssuerError>) -> Result<(), Error> {
        let Begun { certificate, revision } = begun;
        let (host, org) = (certificate.host.clone(), certificate.org.clone());
        let now = self.control.clock.now();
        let state = self.control.mirror.state();
        let at = keys::certificate(&host);
        let mut guards = vec![unchanged(at.clone(), Some(revision))?];
        let mut ops = Vec::new();
        let (next, kind, severity, message) = match obtained {
            Ok(new) => {
                let message = format!("{host} has a certificate until {}", new.not_after);
                let issued = self.sealed(&state, &org, new, &mut guards, &mut ops)?;
                let next = Certificate { issued: Some(issued), attempt: None, ..certificate };
                (next, EventKind::CertificateIssued, Severity::Info, message)
            }
            Err(error) => {
                let failures =
                    certificate.attempt.as_ref().map_or(0, |attempt| attempt.failures).saturating_add(1);
                let wish = error.retry_after.and_then(|wait| SignedDuration::try_from(wait).ok());
                let next_at = next_attempt(&host, failures, wish, self.seed, now);
                let message =
                    format!("no certificate for {host}: {}; the next attempt is at {next_at}", error.reason);
                tracing::warn!(host, failures, reason = error.reason, "no certificate was issued");
                let attempt = Attempt {
                    begun_at: now,
                    failures,
                    next_at,
                    busy_until: None,
                    error: Some(error.reason.chars().take(1000).collect()),
                };
                let next = Certificate { attempt: Some(attempt), ..certificate };
                (next, EventKind::CertificateFailed, Severity::Warning, message)
            }
        };
        ops.push(put(at, &next)?);
        for (token, _) in state.challenges.iter().filter(|(_, one)| one.host == host) {
            ops.push(delete(keys::challenge(token))?);
        }
        let event = Event { at: now, kind, severity, workload: None, instance: None, node: None, message };
        ops.push(put(keys::event(&org, now, self.control.next_serial()), &event)?);
        if self.write(guards, ops).await?.is_none() {
            tracing::warn!(host, "an order ended that is somebody else's by now; its outcome is dropped");
        }
        Ok(())
    }

    fn sealed(
        &self,
        state: &State,
        org: &Name,
        new: NewCertificate,
        guards: &mut Vec<Guard>,
        ops: &mut Vec<Op>,
    ) -> Result<Issued, Error> {
        let key = self.control.data_key(state, org, guards, ops)?;
        let version = SecretVersion { secret: SecretId::from_bits(rand::random()), version: 1 };
        let certificate = name(CERTIFICATE)?;
        let binding = Binding { org, name: &certificate, version: &version };
        let sealed = self.control.sealer.seal(&key, &binding, &new.key)?;
        Ok(Issued {
            chain: new.chain,
            not_before: new.not_before,
            not_after: new.not_after,
            issued_at: self.control.clock.now(),
            directory: self.issuer.directory().to_owned(),
            version,
            key: key.id,
            sealed,
        })
    }
}

/// Puts answers into the state, from where every ingress gives them.
struct Shown<'a> {
    upkeep: &'a CertificateUpkeep,
    host: &'a str,
}

#[async_trait]
impl Board for Shown<'_> {
    async fn show(&self, token: &str, authorization: &str) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if token.is_empty() || token.len() > LONGEST_TOKEN || !token.bytes().all(plain) {
            return Err("the authority asks with a token that is none".to_owned());
        }
        let challenge = Challenge {
            host: self.host.to_owned(),
            authorization: authorization.to_owned(),
            made_at: self.upkeep.control.clock.now(),
        };
        let written =
            async { self.upkeep.write(Vec::new(), vec![put(keys::challenge(token), &challenge)?]).await };
        written.await.map_err(|error| error.to_string())?;
        tokio::time::sleep(SPREAD).await;
        Ok(())
    }
}

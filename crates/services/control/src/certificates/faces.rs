//! What faces show of certificates: never a private key.

use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::certificate::{Certificate, CertificateState, CertificateView};
use univrs_model::name::Name;
use univrs_ports::store::Revision;

use crate::error::Error;
use crate::handle::Control;
use crate::view;

impl Control {
    /// The certificates of the caller's organisation by host, those that are only wanted included.
    ///
    /// # Errors
    /// When the caller may not read workloads.
    pub fn list_certificates(&self, caller: &Caller) -> Result<(Vec<CertificateView>, Revision), Error> {
        self.allow(caller, Action::WorkloadRead, "certificate")?;
        let state = self.mirror.state();
        let now = self.clock.now();
        let wanted = view::certified_hosts(&state);
        let kept = state.certificates.iter().map(|(host, known)| (host, &known.org));
        let mut hosts: Vec<(&String, &Name)> =
            wanted.iter().chain(kept).filter(|(_, org)| **org == caller.org).collect();
        hosts.sort();
        hosts.dedup();
        let views = hosts.into_iter().map(|(host, org)| {
            let known = state.certificates.get(host).filter(|known| known.org == *org);
            let known = known.map(|record| &*record.value);
            shown(host, org, known, wanted.get(host) == Some(org), now)
        });
        Ok((views.collect(), state.revision))
    }
}

fn shown(
    host: &str,
    org: &Name,
    known: Option<&Certificate>,
    wanted: bool,
    now: Timestamp,
) -> CertificateView {
    let issued = known.and_then(|known| known.issued.as_ref());
    let attempt = known.and_then(|known| known.attempt.as_ref());
    let busy = attempt.is_some_and(|attempt| attempt.busy_until.is_some_and(|until| until > now));
    let state = match (issued, attempt) {
        (Some(issued), _) if issued.not_after > now => CertificateState::Valid,
        _ if busy => CertificateState::Ordering,
        (Some(_), _) => CertificateState::Expired,
        (None, Some(attempt)) if attempt.failures > 0 => CertificateState::Failed,
        (None, _) => CertificateState::Waiting,
    };
    let failed = attempt.filter(|attempt| attempt.failures > 0);
    CertificateView {
        host: host.to_owned(),
        org: org.clone(),
        state,
        wanted,
        directory: issued.map(|issued| issued.directory.clone()),
        not_before: issued.map(|issued| issued.not_before),
        not_after: issued.map(|issued| issued.not_after),
        chain: issued.map(|issued| issued.chain.clone()),
        failures: failed.map_or(0, |attempt| attempt.failures),
        next_at: failed.filter(|_| !busy).map(|attempt| attempt.next_at),
        error: failed.and_then(|attempt| attempt.error.clone()),
    }
}

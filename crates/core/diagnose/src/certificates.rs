//! Hosts without a certificate that they are to have.

use univrs_model::certificate::{CertificateState, CertificateView};
use univrs_model::event::Severity;

use crate::{Code, Problem};

/// What is wrong with certificates that are wanted.
pub fn certificate_problems(certificates: &[CertificateView]) -> Vec<Problem> {
    certificates.iter().filter(|one| one.wanted).filter_map(problem).collect()
}

fn problem(one: &CertificateView) -> Option<Problem> {
    let host = &one.host;
    let reason = one.error.as_deref().unwrap_or("no attempt has ended yet");
    let (severity, cause) = match one.state {
        CertificateState::Waiting => {
            (Severity::Warning, format!("no certificate was asked for yet for {host}"))
        }
        CertificateState::Failed => (Severity::Error, format!("{host} gets no certificate: {reason}")),
        CertificateState::Expired => {
            (Severity::Error, format!("the certificate of {host} has ended: {reason}"))
        }
        CertificateState::Valid if one.failures > 0 => {
            (Severity::Warning, format!("the certificate of {host} is not renewed: {reason}"))
        }
        CertificateState::Valid | CertificateState::Ordering => return None,
    };
    let fix = match one.state {
        CertificateState::Waiting => {
            "give the validators --acme-directory (such as letsencrypt), which agrees to its terms; if they have it, wait"
                .to_owned()
        }
        _ => format!(
            "validators have to reach the authority, and the name {host} has to lead to nodes of this cluster, port 80 there to their ingress; it is tried again by itself"
        ),
    };
    let said = |text: &str, at: Option<univrs_model::Timestamp>| at.map(|at| format!("{text} {at}"));
    let evidence = [
        (one.failures > 0).then(|| format!("attempts failed in a row: {}", one.failures)),
        said("the next attempt is at", one.next_at),
        said("its certificate ends at", one.not_after),
    ];
    Some(Problem {
        code: Code::CertificateMissing,
        severity,
        subject: format!("host/{host}"),
        cause,
        evidence: evidence.into_iter().flatten().collect(),
        fix,
        next: "events_timeline {}".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use univrs_model::certificate::{CertificateState, CertificateView};
    use univrs_model::event::Severity;
    use univrs_model::name::Name;

    use super::certificate_problems;

    fn view(state: CertificateState, failures: u32) -> CertificateView {
        CertificateView {
            host: "a.test".to_owned(),
            org: Name::default_org(),
            state,
            wanted: true,
            directory: None,
            not_before: None,
            not_after: None,
            chain: None,
            failures,
            next_at: None,
            error: (failures > 0).then(|| "connection refused".to_owned()),
        }
    }

    #[test]
    fn what_is_wrong_says_why_and_what_mends_it() {
        for (state, failures, expected) in [
            (CertificateState::Valid, 0, None),
            (CertificateState::Ordering, 1, None),
            (CertificateState::Waiting, 0, Some((Severity::Warning, "--acme-directory"))),
            (CertificateState::Failed, 2, Some((Severity::Error, "port 80"))),
            (CertificateState::Expired, 2, Some((Severity::Error, "port 80"))),
            (CertificateState::Valid, 2, Some((Severity::Warning, "port 80"))),
        ] {
            let found = certificate_problems(&[view(state, failures)]);
            let told = found.first().map(|one| (one.severity, one.fix.as_str()));
            match (told, expected) {
                (None, None) => {}
                (Some((severity, fix)), Some((wanted, words))) => {
                    assert!(severity == wanted && fix.contains(words), "{state:?}: {found:?}");
                    assert!(failures == 0 || found[0].cause.contains("connection refused"), "{found:?}");
                }
                (told, expected) => panic!("{state:?}: {told:?}, not {expected:?}"),
            }
        }
        let unwanted = CertificateView { wanted: false, ..view(CertificateState::Failed, 3) };
        assert_eq!(certificate_problems(&[unwanted]), []);
    }
}

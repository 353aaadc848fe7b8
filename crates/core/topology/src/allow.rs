//! `[[allow]]`: warnings that somebody accepts, with the reason.

use crate::codes::{Code, Severity};
use crate::finding::Finding;
use crate::spec::Allow;

fn covers(allow: &Allow, finding: &Finding) -> bool {
    let within = |prefix: &String| {
        let rest = finding.path.strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    finding.code.as_str() == allow.code && allow.path.as_ref().is_none_or(within)
}

/// Turns accepted warnings into facts that say why. Errors cannot be accepted.
pub fn accept(findings: &mut [Finding], allow: &[Allow]) {
    for finding in findings.iter_mut().filter(|finding| finding.severity == Severity::Warning) {
        if let Some(allowed) = allow.iter().find(|allowed| covers(allowed, finding)) {
            finding.severity = Severity::Fact;
            finding.message = format!("{} (accepted: {})", finding.message, allowed.reason);
        }
    }
}

/// Suppressions that cover nothing of `findings`, which must be those of all checks.
pub fn unused(findings: &[Finding], allow: &[Allow]) -> Vec<Finding> {
    let idle = allow.iter().enumerate().filter(|(_, allowed)| !findings.iter().any(|f| covers(allowed, f)));
    let tell = |(index, allowed): (usize, &Allow)| {
        let message = format!("there is no `{}` to accept", allowed.code);
        Finding::new(Code::UnusedAllow, format!("allow[{index}]"), message)
    };
    idle.map(tell).collect()
}

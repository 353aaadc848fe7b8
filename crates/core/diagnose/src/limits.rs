//! What an organisation has run out of: its quota, and the time of its tokens.

use univrs_model::Timestamp;
use univrs_model::caller::Grant;
use univrs_model::event::Severity;
use univrs_model::ids::TokenId;
use univrs_model::name::Name;
use univrs_model::resource::{Amount, Quota};

use crate::{Code, Problem};

/// Of what may be used, this share in percent leaves too little for one more.
const NEARLY: u64 = 90;

/// A quota of which nothing, or next to nothing, is left for one more resource. `count` and `used` are what the
/// organisation's resources take of it.
pub fn quota_problem(org: &Name, quota: &Quota, count: u32, used: &Amount) -> Option<Problem> {
    let full = |used: u64, most: u64| used.saturating_mul(100) >= most.saturating_mul(NEARLY);
    let said = [
        quota
            .resources
            .map(|most| (full(count.into(), most.into()), format!("resources: {count} of {most}"))),
        quota.cpu.map(|most| {
            (full(used.cpu.as_millicores(), most.as_millicores()), format!("cpu: {} of {most}", used.cpu))
        }),
        quota
            .memory
            .map(|most| (full(used.memory.get(), most.get()), format!("memory: {} of {most}", used.memory))),
        quota.storage.map(|most| {
            (full(used.storage.get(), most.get()), format!("storage: {} of {most}", used.storage))
        }),
    ];
    let full: Vec<String> =
        said.iter().flatten().filter(|(full, _)| *full).map(|(_, text)| text.clone()).collect();
    if full.is_empty() {
        return None;
    }
    Some(Problem {
        code: Code::QuotaReached,
        severity: Severity::Warning,
        subject: format!("org/{org}"),
        cause: format!(
            "the quota of {org} is used up, so no other resource can be made: {}",
            full.join(", ")
        ),
        evidence: said.into_iter().flatten().map(|(_, text)| text).collect(),
        fix: format!(
            "remove a resource (`univrs resource rm`), choose a smaller size, or have an administrator raise the quota \
             (PUT /api/orgs/{org}/quota)"
        ),
        next: "template_list {}".to_owned(),
    })
}

/// A token that somebody still presents after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredToken {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: Name,
    /// What it granted.
    pub grant: Grant,
    /// When it ended.
    pub expired_at: Timestamp,
    /// When it was presented last.
    pub presented_at: Timestamp,
}

/// Tokens that have expired and are used as if they had not.
pub fn token_problems(tokens: &[ExpiredToken]) -> Vec<Problem> {
    let problem = |token: &ExpiredToken| {
        let ExpiredToken { id, name, grant, expired_at, presented_at } = token;
        let grant = format!("{grant:?}").to_lowercase();
        Problem {
            code: Code::TokenExpired,
            severity: Severity::Warning,
            subject: format!("token/{name}"),
            cause: format!("token {name} expired at {expired_at}, and somebody still uses it"),
            evidence: vec![format!("{id} was refused at {presented_at}")],
            fix: format!(
                "make another of that name, which takes its place, and give it to whoever uses the old one; \
                 or revoke the old one: `univrs token revoke {id}`"
            ),
            next: format!("univrs token create {name} --grant {grant}"),
        }
    };
    tokens.iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use univrs_model::caller::Grant;
    use univrs_model::ids::TokenId;
    use univrs_model::quantity::{Bytes, Cpu};
    use univrs_model::resource::{Amount, Quota};

    use super::{ExpiredToken, quota_problem, token_problems};

    #[test]
    fn a_quota_is_a_problem_when_one_of_its_parts_is_used_up() {
        let org = "shop".parse().unwrap();
        let used = Amount {
            cpu: Cpu::millicores(1000),
            memory: Bytes::mebibytes(256),
            storage: Bytes::mebibytes(1024),
        };
        let open = Quota::default();
        let roomy = Quota { resources: Some(3), memory: Some(Bytes::mebibytes(1024)), ..open };
        assert_eq!(quota_problem(&org, &open, 5, &used), None);
        assert_eq!(quota_problem(&org, &roomy, 1, &used), None);
        for (full, word) in [
            (Quota { resources: Some(1), ..roomy }, "resources: 1 of 1"),
            (Quota { resources: Some(0), ..open }, "resources: 1 of 0"),
            (Quota { cpu: Some(Cpu::millicores(1100)), ..roomy }, "cpu: 1 of 1100m"),
            (Quota { storage: Some(Bytes::mebibytes(1024)), ..roomy }, "storage: 1Gi of 1Gi"),
        ] {
            let found = quota_problem(&org, &full, 1, &used).unwrap();
            assert!(found.cause.contains(word), "{}", found.cause);
            assert!(found.fix.contains("/api/orgs/shop/quota"), "{}", found.fix);
        }
    }

    #[test]
    fn an_expired_token_in_use_comes_with_the_command_that_replaces_it() {
        let token = ExpiredToken {
            id: TokenId::from_bits(1),
            name: "ci".parse().unwrap(),
            grant: Grant::Operate,
            expired_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            presented_at: "2026-01-01T01:00:00Z".parse().unwrap(),
        };
        let [found] = token_problems(&[token]).try_into().unwrap();
        assert_eq!(
            (found.subject.as_str(), found.next.as_str()),
            ("token/ci", "univrs token create ci --grant operate")
        );
        assert!(
            found.cause.contains("expired at 2026-01-01T00:00:00Z") && found.evidence[0].contains("01:00:00")
        );
    }
}

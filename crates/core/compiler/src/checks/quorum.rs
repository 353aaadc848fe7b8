//! Who votes, and what may fail without the quorum being lost.

use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::spec::{QuorumRule, Survive};
use univrs_topology::topology::Topology;

use crate::voters::{Ballot, enough};

/// Checks `objectives.quorum`, and says who votes.
pub(super) fn check(topology: &Topology, findings: &mut Findings) -> Option<Ballot> {
    let stated = topology.spec.objectives.quorum.as_ref();
    let ballot = Ballot::of(topology, stated.map(|quorum| quorum.role.as_str()))?;
    let (rule, unit) = stated.map_or((QuorumRule::Majority, Survive::Node), |q| (q.rule, q.survive));
    let path = format!("role.{}", ballot.zones.first().map_or("", |zone| zone.role.as_str()));
    let path = if ballot.chosen { format!("{path}.univrs") } else { path };
    findings.push(Finding::new(Code::VotersChosen, path.clone(), who(&ballot, rule, unit)));
    let many = if ballot.chosen { ballot.candidates() } else { ballot.voters() };
    if many.is_multiple_of(2) && (!ballot.chosen || many < crate::voters::VOTERS) {
        let message = if ballot.chosen {
            format!("{many} machines may vote and {} of them will", ballot.voters())
        } else {
            format!("{many} machines vote: no more may fail than with {}", many - 1)
        };
        let finding = Finding::new(Code::EvenVoters, path, message);
        findings.push(finding.hint(format!("make it {} or {}", many - 1, many + 1)));
    }
    if stated.is_some() && !ballot.survives(unit, rule) {
        let (lost, voters) = ballot.largest(unit);
        let all = ballot.voters();
        let message = format!(
            "with {lost} {} of {all} voters are lost and {} are left; a {} needs {}",
            voters,
            all - voters,
            rule_name(rule),
            rule.needed(all)
        );
        let finding = Finding::new(Code::QuorumLost, "objectives.quorum", message);
        findings.push(finding.maybe_hint(what_would_do(rule, unit)));
    }
    Some(ballot)
}

const fn rule_name(rule: QuorumRule) -> &'static str {
    match rule {
        QuorumRule::Majority => "majority",
        QuorumRule::Bft => "bft rule",
    }
}

const fn unit_name(unit: Survive, many: bool) -> &'static str {
    match (unit, many) {
        (Survive::Node, false) => "machine",
        (Survive::Node, true) => "machines",
        (Survive::Zone, false) => "zone",
        (Survive::Zone, true) => "zones",
        (Survive::Region, false) => "region",
        (Survive::Region, true) => "regions",
        (Survive::Cloud, false) => "cloud",
        (Survive::Cloud, true) => "clouds",
    }
}

fn what_would_do(rule: QuorumRule, unit: Survive) -> Option<String> {
    let (parts, voters) = enough(1, rule)?;
    Some(format!(
        "{voters} voters over {parts} {} survive the loss of any one; or state a smaller failure to survive",
        unit_name(unit, true)
    ))
}

/// `5 of 12 machines vote (aws 2, azure 2, gcp 1); …`, with what the rule needs and what a bft rule would.
fn who(ballot: &Ballot, rule: QuorumRule, unit: Survive) -> String {
    let clouds: Vec<String> =
        ballot.by_cloud().iter().map(|(cloud, voters)| format!("{cloud} {voters}")).collect();
    let all = ballot.voters();
    let outcome = |rule: QuorumRule| {
        let verb = if ballot.survives(unit, rule) { "survives" } else { "does not survive" };
        format!("{} of them and {verb} the loss of any one {}", rule.needed(all), unit_name(unit, false))
    };
    let mut text = format!(
        "{all} of {} machines vote ({}); a {} needs {}",
        ballot.candidates(),
        clouds.join(", "),
        rule_name(rule),
        outcome(rule)
    );
    if rule == QuorumRule::Majority && all > 1 {
        text.push_str(&format!("; a bft rule would need {}", outcome(QuorumRule::Bft)));
        let least = enough(1, QuorumRule::Bft).filter(|_| !ballot.survives(unit, QuorumRule::Bft));
        if let Some((parts, voters)) = least {
            text.push_str(&format!(", which takes {voters} voters over {parts} {}", unit_name(unit, true)));
        }
    }
    text
}

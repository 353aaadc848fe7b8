//! Who votes, and what may fail without the quorum being lost.

use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::spec::{QuorumRule, Survive};
use univrs_topology::topology::Topology;

use crate::voters::{Ballot, enough};

/// Where the file says what may fail.
pub(super) const PATH: &str = "objectives.quorum";

/// Checks `objectives.quorum`, and says who votes.
pub(super) fn check(topology: &Topology, findings: &mut Findings) -> Option<Ballot> {
    let stated = topology.spec.objectives.quorum.as_ref();
    let ballot = Ballot::of(topology, stated.map(|quorum| quorum.role.as_str()))?;
    // Without an objective, the largest loss that leaves anything is the one worth knowing about.
    let usual = match (topology.clouds().len(), topology.regions.len()) {
        (2.., _) => Survive::Cloud,
        (_, 2..) => Survive::Region,
        _ => Survive::Node,
    };
    let (rule, unit) = stated.map_or((QuorumRule::Majority, usual), |q| (q.rule, q.survive));
    let path = format!("role.{}", ballot.zones.first().map_or("", |zone| zone.role.as_str()));
    let path = if ballot.chosen { format!("{path}.univrs") } else { path };
    findings.push(Finding::new(Code::VotersChosen, path.clone(), who(&ballot, rule, unit)));
    unequal(topology, &ballot, findings);
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
        let finding = Finding::new(Code::QuorumLost, PATH, message);
        let hint = format!("it takes {}; or state a smaller failure to survive", what_would_do(rule, unit));
        findings.push(finding.hint(hint));
    }
    Some(ballot)
}

/// Says when the machines of a voting role have different numbers of processors.
fn unequal(topology: &Topology, ballot: &Ballot, findings: &mut Findings) {
    let mut told: Vec<&str> = Vec::new();
    for name in ballot.zones.iter().map(|zone| zone.role.as_str()) {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let Some(role) = topology.role(name) else { continue };
        let mut sizes: Vec<(u64, &str)> = role
            .placements
            .iter()
            .filter_map(|place| Some((place.facts?.vcpu.as_millicores(), place.machine.as_deref()?)))
            .collect();
        sizes.sort_unstable();
        let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else { continue };
        if role.spec.size.is_none() && least.0 < most.0 {
            let message = format!(
                "machines of `{name}` have {} ({}) to {} processors ({})",
                least.0 / 1000,
                least.1,
                most.0 / 1000,
                most.1
            );
            findings.push(Finding::new(Code::UnequalVoters, format!("role.{name}.machine"), message));
        }
    }
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

/// `5 voters over 5 clouds or 7 over 4`.
fn what_would_do(rule: QuorumRule, unit: Survive) -> String {
    let mut units = Some(unit_name(unit, true));
    let one = |(voters, parts): (u32, u32)| match units.take() {
        Some(units) => format!("{voters} voters over {parts} {units}"),
        None => format!("{voters} over {parts}"),
    };
    enough(rule).into_iter().map(one).collect::<Vec<_>>().join(" or ")
}

/// `5 of 12 machines vote (aws 2, azure 2, gcp 1); …`, with what the rule needs and what a bft rule would.
fn who(ballot: &Ballot, rule: QuorumRule, unit: Survive) -> String {
    let (all, unit_one) = (ballot.voters(), unit_name(unit, false));
    let clouds: Vec<String> =
        ballot.by_cloud().iter().map(|(cloud, voters)| format!("{cloud} {voters}")).collect();
    let clouds = clouds.join(", ");
    if all == 1 {
        let who = match ballot.candidates() {
            1 => "the only machine that may vote does".to_owned(),
            many => format!("one of {many} machines votes"),
        };
        return format!("{who} ({clouds}); without it nothing is decided");
    }
    let outcome = |rule: QuorumRule| {
        let verb = if ballot.survives(unit, rule) { "survives" } else { "does not survive" };
        format!("{} of them and {verb} the loss of any one {unit_one}", rule.needed(all))
    };
    let many = ballot.candidates();
    let own = rule_name(rule);
    let mut text = format!("{all} of {many} machines vote ({clouds}); a {own} needs {}", outcome(rule));
    if rule == QuorumRule::Majority {
        text.push_str(&format!("; a bft rule would need {}", outcome(QuorumRule::Bft)));
        if !ballot.survives(unit, QuorumRule::Bft) {
            text.push_str(&format!(": that takes {}", what_would_do(QuorumRule::Bft, unit)));
        }
    }
    text
}

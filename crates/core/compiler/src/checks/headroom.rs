//! Weights when a cloud dies: what the others must be able to carry.

use univrs_topology::cloud::Cloud;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::spec::Selector;
use univrs_topology::topology::{Role, Topology};

/// Percent of the requests by cloud, in the order of the file. Even shares of the clouds when no weights are stated.
fn by_cloud(topology: &Topology) -> Vec<(Cloud, u32)> {
    let clouds = topology.clouds();
    let weight = |cloud: Cloud| -> u32 {
        let mine = |selector: &Selector| match selector {
            Selector::Cloud(named) => *named == cloud,
            Selector::Region(region) => region.cloud == cloud,
        };
        topology.weights.iter().filter(|(selector, _)| mine(selector)).map(|(_, weight)| weight).sum()
    };
    clouds.into_iter().map(|cloud| (cloud, weight(cloud))).filter(|(_, weight)| *weight > 0).collect()
}

/// A ratio with two digits, rounded up: who has that much headroom has enough.
fn times(numerator: u32, denominator: u32) -> String {
    let hundredths = (u64::from(numerator) * 100).div_ceil(u64::from(denominator.max(1)));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Says how much more the others carry when the cloud with the largest share is lost.
pub(super) fn check(topology: &Topology, findings: &mut Findings) {
    let weights = by_cloud(topology);
    let Some((lost, share)) =
        weights.iter().copied().reduce(|most, next| if next.1 > most.1 { next } else { most })
    else {
        return;
    };
    let left: u32 = weights.iter().map(|(_, weight)| weight).sum::<u32>() - share;
    if weights.len() < 2 || left == 0 {
        return;
    }
    let all = share + left;
    let factor = times(all, left);
    let others: Vec<String> = weights
        .iter()
        .filter(|(cloud, _)| *cloud != lost)
        .map(|(cloud, weight)| format!("{cloud} from {weight} % to {} %", (weight * all + left / 2) / left))
        .collect();
    let mut message =
        format!("when {lost} is lost, {} of the requests: ×{factor} each", others.join(" and "));
    let front = topology.roles.iter().find(|role| role.behind.is_some());
    if let Some(grown) = front.and_then(|role| growth(role, topology, lost)) {
        message.push_str(&grown);
    }
    let busy = 100 * left / all;
    let hint = format!("run them at {busy} % or less of what they can carry, add machines, or shed load");
    findings.push(Finding::new(Code::Headroom, "traffic.weights", message).hint(hint));
}

/// How far the machines in front may grow by autoscaling.
fn growth(role: &Role, topology: &Topology, lost: Cloud) -> Option<String> {
    let scale = role.spec.autoscale?;
    let left = || role.placements.iter().filter(|place| topology.regions[place.region].id.cloud != lost);
    let now: u32 = left().map(|place| place.count).sum();
    let most: u32 = left().map(|place| place.bounds.map_or(place.count, |(_, most)| most)).sum();
    (now > 0).then(|| {
        format!(
            "; `{}` may grow ×{} by autoscaling, minutes later, and aims at {:.0} % of its processors before",
            role.spec.name,
            times(most, now),
            scale.target_cpu * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn headroom_is_rounded_up() {
        assert_eq!(times(100, 60), "1.67");
        assert_eq!(times(100, 50), "2.00");
        assert_eq!(times(100, 66), "1.52");
    }
}

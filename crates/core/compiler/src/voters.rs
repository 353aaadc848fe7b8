//! Which machines will vote, as the runtime chooses them.
//!
//! `voters` of the machines that may vote do (5, at most 7, always an odd number), spread over clouds, then regions,
//! then zones. The others follow and step in.

use serde::Serialize;
use univrs_schedule::{Seats, next_seat, odd_voters};
use univrs_topology::cloud::{Cloud, RegionId};
use univrs_topology::spec::{QuorumRule, Survive};
use univrs_topology::topology::Topology;

pub use univrs_model::member::{MOST_VOTERS, VOTERS};

/// Voters in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VotersIn {
    /// Name of the role.
    pub role: String,
    /// The region.
    pub region: RegionId,
    /// The zone by the provider's name.
    pub zone: String,
    /// Machines that may vote.
    pub candidates: u32,
    /// Machines that will.
    pub voters: u32,
}

/// Who votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ballot {
    /// Whether the runtime chooses among the candidates; otherwise all of them vote.
    pub chosen: bool,
    /// Zones that have candidates, in the order of the file.
    pub zones: Vec<VotersIn>,
}

impl Ballot {
    /// The voters of a topology. `role` is whose machines vote; any role with `univrs.role = "validator"` when absent.
    /// Nothing when no machine may vote.
    pub fn of(topology: &Topology, role: Option<&str>) -> Option<Self> {
        let mut zones: Vec<VotersIn> = Vec::new();
        let mut chosen = false;
        for one in &topology.roles {
            let wanted = role.map_or(one.spec.votes(), |role| one.spec.name.as_str() == role);
            for placement in one.placements.iter().filter(|_| wanted) {
                let region = &topology.regions[placement.region];
                let many = u32::try_from(region.zones.len().max(1)).unwrap_or(1);
                for (number, zone) in (0..many).zip(&region.zones) {
                    // Machines of a role go round the zones.
                    let candidates = placement.count / many + u32::from(number < placement.count % many);
                    if candidates > 0 {
                        zones.push(VotersIn {
                            role: one.spec.name.to_string(),
                            region: region.id.clone(),
                            zone: zone.clone(),
                            candidates,
                            voters: 0,
                        });
                    }
                }
            }
            chosen |= wanted && one.spec.votes();
        }
        let mut ballot = Self { chosen, zones };
        let candidates = ballot.candidates();
        if candidates == 0 {
            return None;
        }
        if chosen {
            (0..odd_voters(candidates, VOTERS)).for_each(|_| ballot.choose_one());
        } else {
            ballot.zones.iter_mut().for_each(|zone| zone.voters = zone.candidates);
        }
        Some(ballot)
    }

    /// Takes the next voter by the rule that the runtime goes by.
    fn choose_one(&mut self) {
        let seats = |zone: &VotersIn| Seats {
            cloud: zone.region.cloud,
            region: zone.region.clone(),
            voters: zone.voters,
            candidates: zone.candidates,
        };
        let zones: Vec<_> = self.zones.iter().map(seats).collect();
        if let Some(index) = next_seat(&zones) {
            self.zones[index].voters += 1;
        }
    }

    /// How many machines may vote.
    pub fn candidates(&self) -> u32 {
        self.zones.iter().map(|zone| zone.candidates).sum()
    }

    /// How many will.
    pub fn voters(&self) -> u32 {
        self.zones.iter().map(|zone| zone.voters).sum()
    }

    /// Voters by cloud, in the order of the file.
    pub fn by_cloud(&self) -> Vec<(Cloud, u32)> {
        let mut clouds: Vec<(Cloud, u32)> = Vec::new();
        for zone in &self.zones {
            match clouds.iter_mut().find(|(cloud, _)| *cloud == zone.region.cloud) {
                Some((_, voters)) => *voters += zone.voters,
                None => clouds.push((zone.region.cloud, zone.voters)),
            }
        }
        clouds
    }

    /// The part with the most voters of those that fail together, and how many it has.
    pub fn largest(&self, unit: Survive) -> (String, u32) {
        let mut parts: Vec<(String, u32)> = Vec::new();
        for zone in self.zones.iter().filter(|zone| zone.voters > 0) {
            let (name, voters) = match unit {
                Survive::Node => ("one machine".to_owned(), 1),
                Survive::Zone => (format!("zone {} of {}", zone.zone, zone.region), zone.voters),
                Survive::Region => (zone.region.to_string(), zone.voters),
                Survive::Cloud => (zone.region.cloud.to_string(), zone.voters),
            };
            match parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) if unit != Survive::Node => *sum += voters,
                Some(_) => {}
                None => parts.push((name, voters)),
            }
        }
        // The first of the largest.
        let mut largest = (String::new(), 0);
        for part in parts {
            if part.1 > largest.1 {
                largest = part;
            }
        }
        largest
    }

    /// Whether the voters can still decide when any one part is lost.
    pub fn survives(&self, unit: Survive, rule: QuorumRule) -> bool {
        self.voters() - self.largest(unit).1 >= rule.needed(self.voters())
    }
}

/// With how many voters over how many parts a rule survives the loss of any one part: the fewest voters first, and
/// more of them only where fewer parts will do.
///
/// Voters are spread as evenly as can be, so that the largest part has the quotient rounded up.
pub(crate) fn enough(rule: QuorumRule) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for voters in [3, VOTERS, MOST_VOTERS] {
        let survives = |parts: &u32| voters - voters.div_ceil(*parts) >= rule.needed(voters);
        let least = (1..=voters).find(survives);
        if let Some(parts) = least.filter(|parts| found.iter().all(|(_, known)| parts < known)) {
            found.push((voters, parts));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use univrs_topology::spec::QuorumRule::{Bft, Majority};

    use super::enough;

    #[test]
    fn three_parts_are_enough_for_a_majority_and_bft_takes_more() {
        assert_eq!(enough(Majority), [(3, 3)]);
        assert_eq!(enough(Bft), [(5, 5), (7, 4)]);
    }
}

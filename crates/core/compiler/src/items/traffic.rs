//! What leaves: the stated amounts, shared out over the regions they leave from.

use univrs_cost::item::Destination;
use univrs_cost::{Kind, Quantity};
use univrs_topology::plan::{Plan, RegionPlan};

use super::Bill;
use crate::market::place;

/// Who sends how much: weights by region, in the order of the plan.
pub(super) struct Shares {
    /// Of what goes to users: as requests come in, or else by machines.
    requests: Vec<u64>,
    /// Of what machines say to each other: by machines.
    machines: Vec<u64>,
}

impl Shares {
    pub(super) fn new(plan: &Plan) -> Self {
        let machines: Vec<u64> = plan.regions.iter().map(|region| region.machines.len() as u64).collect();
        let weight = |region: &RegionPlan| {
            let records = plan.dns.iter().flat_map(|dns| &dns.records);
            records.filter(|record| record.region == region.id).map(|record| u64::from(record.weight)).sum()
        };
        let weights: Vec<u64> = plan.regions.iter().map(weight).collect();
        let requests = if weights.iter().sum::<u64>() > 0 { weights } else { machines.clone() };
        Self { requests, machines }
    }

    /// What leaves the region with that index for the internet; none when the file does not say.
    pub(super) fn internet(&self, plan: &Plan, index: usize) -> Option<Quantity> {
        let gb = plan.egress.as_ref()?.internet?;
        split(gb, &self.requests).get(index).copied()
    }
}

/// `gb` in proportion to `weights`, to the last millionth: what is left over goes to the first that has any.
fn split(gb: u64, weights: &[u64]) -> Vec<Quantity> {
    let total: u64 = weights.iter().sum();
    if total == 0 {
        return vec![Quantity::ZERO; weights.len()];
    }
    let whole = Quantity::units(gb).micros();
    let mut parts: Vec<i128> =
        weights.iter().map(|weight| whole * i128::from(*weight) / i128::from(total)).collect();
    let rest = whole - parts.iter().sum::<i128>();
    if let Some(index) = weights.iter().position(|weight| *weight > 0) {
        parts[index] += rest;
    }
    parts.into_iter().map(Quantity::from_micros).collect()
}

/// Adds what leaves every region that has machines. What the file does not state stays open.
pub(super) fn add(bill: &mut Bill, plan: &Plan, shares: &Shares) {
    let egress = plan.egress.clone().unwrap_or_default();
    let weights = |keep: &dyn Fn(&RegionPlan) -> bool| -> Vec<u64> {
        let kept = plan.regions.iter().zip(&shares.machines);
        kept.map(|(region, machines)| if keep(region) { *machines } else { 0 }).collect()
    };
    let internet = Destinations {
        name: "traffic to the internet",
        key: "internet",
        to: |_, _| Some(Destination::Internet),
    };
    internet.add(bill, plan, egress.internet, &shares.requests);
    if plan.clouds.len() > 1 {
        let clouds = Destinations {
            name: "traffic between clouds",
            key: "between_clouds",
            to: |_, _| Some(Destination::Internet),
        };
        clouds.add(bill, plan, egress.between_clouds, &weights(&|_| true));
    }
    let regions = Destinations { name: "traffic between regions", key: "between_regions", to: next_region };
    regions.add(bill, plan, egress.between_regions, &weights(&|region| next_region(plan, region).is_some()));
    let zones = Destinations {
        name: "traffic between zones",
        key: "between_zones",
        to: |_, _| Some(Destination::Zone),
    };
    zones.add(bill, plan, egress.between_zones, &weights(&spans_zones));
}

/// Whether machines of a region are in several of its zones.
pub(crate) fn spans_zones(region: &RegionPlan) -> bool {
    let first = region.machines.first();
    region.machines.iter().any(|machine| first.is_some_and(|first| first.zone != machine.zone))
}

/// The next region of the same cloud, counted round.
fn next_region(plan: &Plan, region: &RegionPlan) -> Option<Destination> {
    let same = || plan.regions.iter().filter(|other| other.cloud == region.cloud);
    let after = same().skip_while(|other| other.id != region.id).nth(1);
    let next = after.or_else(|| same().next())?;
    (next.id != region.id).then(|| Destination::Region(place(&next.id)))
}

/// One kind of traffic.
struct Destinations {
    name: &'static str,
    key: &'static str,
    to: fn(&Plan, &RegionPlan) -> Option<Destination>,
}

impl Destinations {
    fn add(&self, bill: &mut Bill, plan: &Plan, gb: Option<u64>, weights: &[u64]) {
        let path = format!("traffic.egress.{}", self.key);
        let parts = gb.map(|gb| split(gb, weights));
        for (index, region) in plan.regions.iter().enumerate().filter(|(index, _)| weights[*index] > 0) {
            let Some(to) = (self.to)(plan, region) else { continue };
            let gb = parts.as_ref().map(|parts| parts[index]);
            bill.add(self.name, &path, place(&region.id), 1, Kind::Egress { to, gb });
        }
    }
}

#[cfg(test)]
mod tests {
    use univrs_cost::Quantity;

    use super::split;

    #[test]
    fn nothing_is_lost_on_the_way() {
        for (gb, weights) in [(100, &[1, 1, 1][..]), (7, &[40, 30, 30]), (1, &[0, 0, 3]), (0, &[1])] {
            let parts = split(gb, weights);
            let sum: i128 = parts.iter().map(|part| part.micros()).sum();
            assert_eq!(sum, Quantity::units(gb).micros(), "{gb} over {weights:?}");
        }
        assert_eq!(split(5, &[0, 0]), [Quantity::ZERO, Quantity::ZERO]);
    }
}

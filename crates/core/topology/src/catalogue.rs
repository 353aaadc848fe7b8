//! What is known of the providers: their regions, and which machine types they have.
//!
//! The planner asks through [`Catalogue`]. [`Regions`] answers for regions from the table that comes with the
//! project and knows no machine types; a price book answers for both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::quantity::{Bytes, Cpu};

use crate::cloud::{Cloud, RegionId};

/// A place on earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    /// North of the equator.
    pub latitude: f64,
    /// East of Greenwich.
    pub longitude: f64,
}

/// Facts about a region.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionFacts {
    /// How many zones it has; absent when not known.
    pub zones: Option<u32>,
    /// Where it lies; absent when not known.
    pub at: Option<Coordinates>,
}

/// Processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit Intel and AMD.
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

/// Facts about a machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Virtual processors.
    pub vcpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Architecture; absent when not known.
    pub arch: Option<Arch>,
}

/// What a catalogue knows of a machine type in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The region has it, with a price.
    Here(MachineFacts),
    /// The cloud has it elsewhere; nothing is known of this region.
    Elsewhere(MachineFacts),
    /// The catalogue has machine types of this cloud, and this one is not among them.
    Unknown,
    /// The catalogue has no machine types of this cloud.
    NoData,
}

/// Facts about providers.
pub trait Catalogue {
    /// Facts about a region, if it exists.
    fn region(&self, id: &RegionId) -> Option<RegionFacts>;

    /// Names of a cloud's regions, in any order.
    fn regions(&self, cloud: Cloud) -> Vec<&str>;

    /// What is known of a machine type in a region.
    fn machine(&self, region: &RegionId, machine: &str) -> Machine;

    /// The machine type of the cloud whose name is most like `machine`, when one is near.
    fn near_machine(&self, cloud: Cloud, machine: &str) -> Option<&str>;

    /// The cheapest machine type of a region with at least so much, if one is known.
    fn fitting_machine(&self, region: &RegionId, vcpu: Cpu, memory: Bytes) -> Option<&str>;
}

/// The regions of all providers as of the date in `data/SOURCES.md`, without machine types.
#[derive(Clone, Debug)]
pub struct Regions {
    facts: BTreeMap<Cloud, BTreeMap<&'static str, RegionFacts>>,
}

const TABLE: &str = include_str!("../../../../data/regions.csv");

impl Default for Regions {
    fn default() -> Self {
        let mut facts: BTreeMap<Cloud, BTreeMap<&'static str, RegionFacts>> = BTreeMap::new();
        for row in TABLE.lines().skip(1).filter_map(row) {
            facts.entry(row.0).or_default().insert(row.1, row.2);
        }
        Self { facts }
    }
}

/// One row: `provider,region,city,country,lat,lon,zones`, where only the city may be quoted.
fn row(line: &'static str) -> Option<(Cloud, &'static str, RegionFacts)> {
    let (cloud, rest) = line.split_once(',')?;
    let (region, rest) = rest.split_once(',')?;
    let mut last = rest.rsplitn(4, ',');
    let zones = last.next()?.trim();
    let (longitude, latitude) = (last.next()?.parse().ok()?, last.next()?.parse().ok()?);
    // A region the providers' lists give no place for stands at 0, 0.
    let at = (latitude != 0.0 || longitude != 0.0).then_some(Coordinates { latitude, longitude });
    Some((cloud.parse().ok()?, region, RegionFacts { zones: zones.parse().ok(), at }))
}

impl Catalogue for Regions {
    fn region(&self, id: &RegionId) -> Option<RegionFacts> {
        self.facts.get(&id.cloud)?.get(id.name.as_str()).copied()
    }

    fn regions(&self, cloud: Cloud) -> Vec<&str> {
        self.facts.get(&cloud).map(|regions| regions.keys().copied().collect()).unwrap_or_default()
    }

    fn machine(&self, _: &RegionId, _: &str) -> Machine {
        Machine::NoData
    }

    fn near_machine(&self, _: Cloud, _: &str) -> Option<&str> {
        None
    }

    fn fitting_machine(&self, _: &RegionId, _: Cpu, _: Bytes) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, Regions, TABLE};
    use crate::cloud::{Cloud, RegionId};

    #[test]
    fn every_row_is_read() {
        let regions = Regions::default();
        let known: usize = Cloud::ALL.iter().map(|cloud| regions.regions(*cloud).len()).sum();
        assert_eq!(known, TABLE.lines().count() - 1);
    }

    #[test]
    fn a_quoted_city_does_not_shift_the_columns() {
        let facts = Regions::default().region(&RegionId::new(Cloud::Hetzner, "ash")).unwrap();
        assert_eq!((facts.zones, facts.at.unwrap().latitude), (Some(1), 39.0176685));
    }
}

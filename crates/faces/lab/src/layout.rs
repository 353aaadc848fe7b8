//! Which nodes a lab has, where they stand, their addresses, and how far regions are apart. Pure.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use univrs_cost::latency::round_trip;
use univrs_cost::{Place, PriceBook};
use univrs_model::name::Name;

use crate::error::LabError;

/// The round trip between regions of which it is not known where they lie, in microseconds.
pub const UNKNOWN_ROUND_TRIP: u32 = 65_000;
/// Most nodes of a lab: more would not fit one machine, nor one region's addresses.
const MOST_NODES: usize = 150;
/// Zones of a region, one after the other.
const ZONES: [&str; 3] = ["a", "b", "c"];
/// Where the nodes of a region begin, after the region's router.
const FIRST_HOST: u8 = 10;

/// A region of a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The cloud.
    pub cloud: String,
    /// The region's name in it.
    pub region: String,
    /// Its number from 1, which is in its addresses.
    pub number: u8,
}

impl Region {
    /// `cloud:region`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.cloud, self.region)
    }

    /// The router's address in it.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 90, self.number, 1)
    }

    /// The region whose addresses contain this one, by number.
    pub fn number_of(address: Ipv4Addr) -> u8 {
        address.octets()[2]
    }
}

/// A router of its own that hides a node, as at home: what comes from outside passes only as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// A port of the node is the same port outside, whoever it speaks with: others can make a hole in it.
    Plain,
    /// It is another port for everyone the node speaks with, so nobody can.
    Symmetric,
}

/// A node as it is laid out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its name.
    pub name: String,
    /// Its number from 1, which is in the names of its links.
    pub number: usize,
    /// The number of its region.
    pub region: u8,
    /// Its zone.
    pub zone: String,
    /// Its roles, as `univrs up --role` takes them.
    pub role: String,
    /// Its address on the underlay, or that of its router.
    pub address: Ipv4Addr,
    /// The router that hides it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<Nat>,
}

impl Seat {
    /// The network behind its router: the router's end first, then its own.
    pub fn behind(&self) -> (Ipv4Addr, Ipv4Addr) {
        let number = u8::try_from(self.number).unwrap_or(u8::MAX);
        (Ipv4Addr::new(192, 168, number, 1), Ipv4Addr::new(192, 168, number, 10))
    }
}

/// How far two regions are apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distance {
    /// One region's number, the smaller.
    pub from: u8,
    /// The other's.
    pub to: u8,
    /// The round trip in microseconds.
    pub micros: u32,
    /// How it is known: `measured`, `estimated` or `assumed`.
    pub basis: String,
}

/// A lab before anything is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its regions, in the order they were named.
    pub regions: Vec<Region>,
    /// Its nodes; they go round the regions.
    pub seats: Vec<Seat>,
    /// Every pair of regions.
    pub distances: Vec<Distance>,
    /// How many of its nodes vote.
    pub voters: usize,
}

impl Layout {
    /// Nodes dealt round the regions, which are written `cloud:region`.
    ///
    /// # Errors
    /// When there are no or too many nodes, or a region is no region or named twice.
    pub fn of(nodes: usize, places: &[String]) -> Result<Self, LabError> {
        if nodes == 0 || nodes > MOST_NODES {
            let hint = format!("give a number from 1 to {MOST_NODES}");
            return Err(LabError::bad("--nodes", format!("{nodes} nodes are not possible"), hint));
        }
        let regions = regions(places)?;
        let voters = voters(nodes);
        let seats = (0..nodes)
            .map(|index| {
                let (round, region) = (index / regions.len(), &regions[index % regions.len()]);
                let host = u8::try_from(round).unwrap_or(u8::MAX).saturating_add(FIRST_HOST);
                // Nodes go round the regions, so the first ones stand in as many clouds as there are.
                let role = if index < voters { "validator,business,slim" } else { "business,slim" };
                Seat {
                    name: format!("n{}", index + 1),
                    number: index + 1,
                    region: region.number,
                    zone: ZONES[round % ZONES.len()].to_owned(),
                    role: role.to_owned(),
                    address: Ipv4Addr::new(10, 90, region.number, host),
                    nat: None,
                }
            })
            .collect();
        let distances = distances(&regions);
        Ok(Self { regions, seats, distances, voters })
    }

    /// Puts nodes behind routers, written `n2` or `n3:symmetric`. They hold no copy of the state, since nobody can dial
    /// them, and the others vote.
    ///
    /// # Errors
    /// When a node is not there, is the first, or is named twice, or a router is of no kind known.
    pub fn hide(mut self, hidden: &[String]) -> Result<Self, LabError> {
        for text in hidden {
            let bad = |detail: String| LabError::bad("--nat", detail, "write `--nat n2,n3:symmetric`");
            let (name, nat) = match text.split_once(':') {
                None => (text.as_str(), Nat::Plain),
                Some((name, "symmetric")) => (name, Nat::Symmetric),
                Some((_, kind)) => return Err(bad(format!("`{kind}` is no kind of router"))),
            };
            let seat = self.seats.iter_mut().find(|seat| seat.name == name);
            let seat = seat.ok_or_else(|| bad(format!("there is no node `{name}`")))?;
            if seat.number == 1 {
                return Err(bad("the others join at n1, so it cannot be hidden".to_owned()));
            }
            if seat.nat.replace(nat).is_some() {
                return Err(bad(format!("{name} is named twice")));
            }
        }
        let seen = self.seats.iter().filter(|seat| seat.nat.is_none()).count();
        self.voters = voters(seen);
        let mut left = self.voters;
        for seat in &mut self.seats {
            let votes = seat.nat.is_none() && left > 0;
            left -= usize::from(votes);
            seat.role = match (votes, seat.nat) {
                (true, _) => "validator,business,slim",
                (false, None) => "business,slim",
                (false, Some(_)) => "slim",
            }
            .to_owned();
        }
        Ok(self)
    }

    /// The region of a seat.
    pub fn region(&self, seat: &Seat) -> Option<&Region> {
        self.regions.iter().find(|region| region.number == seat.region)
    }

    /// The names of the nodes that `side` means: a node, a region (`aws:us-east-1` or `us-east-1`) or a cloud.
    ///
    /// # Errors
    /// When it means nothing here.
    pub fn side(&self, field: &'static str, side: &str) -> Result<Vec<String>, LabError> {
        let of = |wanted: &dyn Fn(&Region) -> bool| -> Vec<String> {
            let here = |seat: &&Seat| self.region(seat).is_some_and(wanted);
            self.seats.iter().filter(here).map(|seat| seat.name.clone()).collect()
        };
        if let Some(seat) = self.seats.iter().find(|seat| seat.name == side) {
            return Ok(vec![seat.name.clone()]);
        }
        let in_region = of(&|region| region.place() == side || region.region == side);
        let found = if in_region.is_empty() { of(&|region| region.cloud == side) } else { in_region };
        if found.is_empty() {
            let mut known: Vec<String> = self.regions.iter().map(|region| region.cloud.clone()).collect();
            known.dedup();
            known.extend(self.regions.iter().map(Region::place));
            known.extend(self.seats.iter().map(|seat| seat.name.clone()));
            let detail = format!("`{side}` is no node, region or cloud of this lab");
            return Err(LabError::bad(field, detail, format!("it has {}", known.join(", "))));
        }
        Ok(found)
    }
}

/// Three voters up to six nodes, five above; one where two could not outvote each other.
fn voters(nodes: usize) -> usize {
    match nodes {
        0..=2 => 1,
        3..=6 => 3,
        _ => 5,
    }
}

fn regions(places: &[String]) -> Result<Vec<Region>, LabError> {
    let hint = "write `--clouds aws:us-east-1,azure:eastus,gcp:us-central1`";
    let mut regions: Vec<Region> = Vec::new();
    for place in places {
        let bad = |detail: String| LabError::bad("--clouds", detail, hint);
        let (cloud, region) =
            place.split_once(':').ok_or_else(|| bad(format!("`{place}` is not CLOUD:REGION")))?;
        for part in [cloud, region] {
            part.parse::<Name>().map_err(|error| bad(format!("`{place}`: {error}")))?;
        }
        if regions.iter().any(|known| known.place() == *place) {
            return Err(bad(format!("`{place}` is named twice")));
        }
        let number = u8::try_from(regions.len() + 1).ok().filter(|number| *number < 200);
        let number = number.ok_or_else(|| bad("more than 199 regions".to_owned()))?;
        regions.push(Region { cloud: cloud.to_owned(), region: region.to_owned(), number });
    }
    if regions.is_empty() {
        return Err(LabError::bad("--clouds", "no region is named", hint));
    }
    Ok(regions)
}

/// Every pair of regions, from measurements and the distance where the book knows both.
fn distances(regions: &[Region]) -> Vec<Distance> {
    let book = PriceBook::builtin();
    let known =
        |a: &Region, b: &Region| round_trip(book, &Place::parse(&a.place())?, &Place::parse(&b.place())?);
    let mut pairs = Vec::new();
    for (index, a) in regions.iter().enumerate() {
        for b in &regions[index + 1..] {
            use univrs_cost::latency::RoundTripBasis;
            let (micros, basis) = match known(a, b) {
                Some(time) if matches!(time.basis, RoundTripBasis::Measured { .. }) => {
                    (time.micros, "measured")
                }
                Some(time) => (time.micros, "estimated"),
                None => (UNKNOWN_ROUND_TRIP, "assumed"),
            };
            pairs.push(Distance { from: a.number, to: b.number, micros, basis: basis.to_owned() });
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Layout, Nat, UNKNOWN_ROUND_TRIP};

    fn lab(nodes: usize, clouds: &str) -> Layout {
        let places: Vec<String> = clouds.split(',').map(str::to_owned).collect();
        Layout::of(nodes, &places).unwrap()
    }

    const THREE: &str = "aws:us-east-1,azure:eastus,gcp:us-central1";

    #[test]
    fn six_nodes_in_three_clouds_have_a_voter_in_each() {
        let lab = lab(6, THREE);
        let voting: BTreeSet<u8> =
            lab.seats.iter().filter(|seat| seat.role.contains("validator")).map(|seat| seat.region).collect();
        assert_eq!((lab.voters, voting.len()), (3, 3));
        let addresses: BTreeSet<_> = lab.seats.iter().map(|seat| seat.address).collect();
        assert_eq!(addresses.len(), 6);
        assert!(lab.seats.iter().all(|seat| lab.region(seat).is_some()));
    }

    #[test]
    fn voters_are_odd_and_never_more_than_nodes() {
        for nodes in 1..=150 {
            let lab = lab(nodes, THREE);
            let validators = lab.seats.iter().filter(|seat| seat.role.contains("validator")).count();
            assert_eq!(validators, lab.voters);
            assert!(lab.voters % 2 == 1 && lab.voters <= nodes, "{nodes}");
        }
    }

    #[test]
    fn hidden_nodes_do_not_vote_and_the_first_cannot_be_hidden() {
        let hide = |nodes, hidden: &[&str]| {
            lab(nodes, THREE).hide(&hidden.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
        };
        let hidden = hide(5, &["n2", "n3:symmetric"]).unwrap();
        let roles: Vec<&str> = hidden.seats.iter().map(|seat| seat.role.as_str()).collect();
        let voter = "validator,business,slim";
        assert_eq!((roles, hidden.voters), (vec![voter, "slim", "slim", voter, voter], 3));
        assert_eq!(hidden.seats[2].nat, Some(Nat::Symmetric));
        assert_eq!(hide(3, &[]).unwrap(), lab(3, THREE));
        for (hidden, word) in
            [(&["n1"][..], "n1"), (&["n9"], "no node"), (&["n2:odd"], "odd"), (&["n2", "n2"], "twice")]
        {
            let error = hide(3, hidden).unwrap_err().to_string();
            assert!(error.starts_with("--nat:") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn known_regions_have_their_distance_and_others_an_assumed_one() {
        let lab = lab(3, "aws:us-east-1,aws:eu-central-1,moon:base");
        let of = |from, to| lab.distances.iter().find(|d| (d.from, d.to) == (from, to)).unwrap();
        assert!((60_000..130_000).contains(&of(1, 2).micros), "{:?}", of(1, 2));
        assert_eq!((of(1, 3).micros, of(1, 3).basis.as_str()), (UNKNOWN_ROUND_TRIP, "assumed"));
        assert_eq!(lab.distances.len(), 3);
    }

    #[test]
    fn a_side_is_a_node_a_region_or_a_cloud() {
        let lab = lab(6, "aws:us-east-1,aws:us-west-2,gcp:us-central1");
        for (side, nodes) in [
            ("n4", vec!["n4"]),
            ("us-west-2", vec!["n2", "n5"]),
            ("aws:us-east-1", vec!["n1", "n4"]),
            ("aws", vec!["n1", "n2", "n4", "n5"]),
        ] {
            assert_eq!(lab.side("A", side).unwrap(), nodes, "{side}");
        }
        let error = lab.side("A", "azure").unwrap_err();
        assert!(error.hint().unwrap().contains("gcp:us-central1"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_flag() {
        for (nodes, clouds) in
            [(0, THREE), (151, THREE), (1, "aws"), (1, "aws:"), (1, "aws:x,aws:x"), (1, "a b:c"), (1, "")]
        {
            let places: Vec<String> = clouds.split(',').map(str::to_owned).collect();
            let error = Layout::of(nodes, &places).unwrap_err().to_string();
            assert!(error.starts_with("--nodes:") || error.starts_with("--clouds:"), "{error}");
        }
    }
}

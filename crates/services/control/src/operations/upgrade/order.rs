//! In which order nodes get another program. Pure.
//!
//! Nodes that do not vote come first, one zone after the other, a few of a zone at once, the very first alone: a bad
//! program does the least harm there. Then the voters, one by one, so that a majority is never in doubt; who leads
//! comes last and hands the lead to one that has it behind it.

use univrs_model::ids::NodeId;
use univrs_model::name::Name;
use univrs_model::node::Location;

/// How many of a zone change at once.
const AT_ONCE: usize = 4;

/// What the order depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) node: NodeId,
    pub(super) name: Name,
    pub(super) location: Location,
    pub(super) votes: bool,
    pub(super) leads: bool,
}

/// Those who change together, in order.
pub(super) fn waves(mut seats: Vec<Seat>) -> Vec<Vec<Seat>> {
    let place = |seat: &Seat| {
        let Location { cloud, region, zone, .. } = seat.location.clone();
        (cloud, region, zone)
    };
    seats.sort_by_key(|seat| (seat.votes, seat.leads, place(seat), seat.name.clone()));
    let mut waves: Vec<Vec<Seat>> = Vec::new();
    for seat in seats {
        let others = waves.len();
        match waves.last_mut() {
            Some(wave)
                if others > 1
                    && !seat.votes
                    && wave.len() < AT_ONCE
                    && wave.iter().all(|other| !other.votes && place(other) == place(&seat)) =>
            {
                wave.push(seat);
            }
            _ => waves.push(vec![seat]),
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use univrs_model::ids::NodeId;
    use univrs_model::node::Location;

    use super::{AT_ONCE, Seat, waves};

    fn seat(number: usize, zone: u8, votes: bool, leads: bool) -> Seat {
        Seat {
            node: NodeId::from_bits(number as u128),
            name: format!("n{number}").parse().unwrap(),
            location: Location { zone: format!("z{zone}"), ..Location::default() },
            votes,
            leads,
        }
    }

    fn names(waves: &[Vec<Seat>]) -> Vec<String> {
        let wave =
            |wave: &Vec<Seat>| wave.iter().map(|seat| seat.name.to_string()).collect::<Vec<_>>().join(" ");
        waves.iter().map(wave).collect()
    }

    #[test]
    fn workers_by_zone_then_voters_one_by_one_and_the_leader_last() {
        let seats = vec![
            seat(1, 0, true, true),
            seat(2, 0, true, false),
            seat(3, 1, true, false),
            seat(4, 1, false, false),
            seat(5, 0, false, false),
            seat(6, 0, false, false),
            seat(7, 0, false, false),
            seat(8, 1, false, false),
        ];
        assert_eq!(names(&waves(seats)), ["n5", "n6 n7", "n4 n8", "n2", "n3", "n1"]);
    }

    proptest! {
        #[test]
        fn everyone_once_and_never_two_zones_or_two_voters(
            seats in proptest::collection::vec((0_u8..4, any::<bool>()), 1..40), leader in any::<prop::sample::Index>(),
        ) {
            let leader = leader.index(seats.len());
            let seats: Vec<Seat> = seats.iter().enumerate()
                .map(|(number, (zone, votes))| seat(number, *zone, *votes || number == leader, number == leader))
                .collect();
            let ordered = waves(seats.clone());
            let mut all: Vec<Seat> = ordered.concat();
            prop_assert!(ordered.last().unwrap().iter().any(|seat| seat.leads), "the leader is last");
            for wave in &ordered {
                prop_assert!(wave.len() == 1 || wave.iter().all(|seat| !seat.votes));
                prop_assert!(wave.len() <= AT_ONCE);
                prop_assert!(wave.iter().all(|seat| seat.location == wave[0].location));
            }
            all.sort_by_key(|seat| seat.node.clone());
            let mut given = seats;
            given.sort_by_key(|seat| seat.node.clone());
            prop_assert_eq!(all, given);
        }
    }
}

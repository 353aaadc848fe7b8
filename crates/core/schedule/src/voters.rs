//! Who votes: the machines that decide together, spread so that losing one part leaves the others a majority.
//!
//! [`next_seat`] is the rule; a plan of machines that do not exist yet and a running cluster both go by it.

use std::collections::BTreeSet;

/// Machines that fail together, and how many of them vote so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seats<C, R> {
    /// Their cloud.
    pub cloud: C,
    /// Their region.
    pub region: R,
    /// How many of them vote.
    pub voters: u32,
    /// How many of them may.
    pub candidates: u32,
}

/// Where the next voter comes from: where there are fewest, of the cloud, then the region, then the zone; among equals
/// the first.
pub fn next_seat<C: PartialEq, R: PartialEq>(zones: &[Seats<C, R>]) -> Option<usize> {
    let votes = |same: &dyn Fn(&Seats<C, R>) -> bool| -> u32 {
        zones.iter().filter(|zone| same(zone)).map(|zone| zone.voters).sum()
    };
    let open = zones.iter().enumerate().filter(|(_, zone)| zone.voters < zone.candidates);
    let next = open.min_by_key(|(index, zone)| {
        let cloud = votes(&|other| other.cloud == zone.cloud);
        let region = votes(&|other| other.cloud == zone.cloud && other.region == zone.region);
        (cloud, region, zone.voters, *index)
    });
    next.map(|(index, _)| index)
}

/// The largest odd number of voters among so many that may vote.
pub fn odd_voters(candidates: u32, most: u32) -> u32 {
    let most = candidates.min(most);
    most - u32::from(most > 0 && most.is_multiple_of(2))
}

/// A machine that may vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number among the members.
    pub member: u64,
    /// Its cloud.
    pub cloud: String,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// Whether it votes now.
    pub votes: bool,
    /// Whether it leads now.
    pub leads: bool,
    /// Whether it can be heard, or was a moment ago.
    pub alive: bool,
    /// Whether its copy of the state is near enough to the newest to be given a vote.
    pub caught_up: bool,
}

/// Who shall vote, when that is not who does. `most` is how many vote where that many may.
///
/// Who votes goes on to, as far as the spread allows. A voter that cannot be heard is replaced when another can take
/// its place, and kept otherwise: with fewer voters the next loss would weigh more. Nothing is changed unless a
/// majority of those who shall vote can be heard.
#[must_use]
pub fn choose_voters(candidates: &[Candidate], most: u32) -> Option<BTreeSet<u64>> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let fit: Vec<&Candidate> =
        candidates.iter().filter(|one| one.alive && (one.votes || one.caught_up)).collect();
    let silent: Vec<&Candidate> = candidates.iter().filter(|one| !one.alive && one.votes).collect();
    let available = count(fit.len() + silent.len());
    let wanted = odd_voters(count(candidates.len()).min(available), most);
    let mut chosen = spread(&fit, wanted);
    let left = (wanted as usize).saturating_sub(chosen.len());
    chosen.extend(silent.iter().map(|one| one.member).take(left));
    let now: BTreeSet<u64> = candidates.iter().filter(|one| one.votes).map(|one| one.member).collect();
    let heard = fit.iter().filter(|one| chosen.contains(&one.member)).count();
    (chosen != now && !chosen.is_empty() && heard > chosen.len() / 2).then_some(chosen)
}

/// Takes up to `wanted` of `fit`, seat by seat.
fn spread(fit: &[&Candidate], wanted: u32) -> BTreeSet<u64> {
    let place = |one: &Candidate| (one.cloud.clone(), one.region.clone(), one.zone.clone());
    let places: BTreeSet<_> = fit.iter().map(|one| place(one)).collect();
    let mut zones: Vec<(Vec<&Candidate>, Seats<String, String>)> = places
        .into_iter()
        .map(|at| {
            let mut here: Vec<&Candidate> = fit.iter().copied().filter(|one| place(one) == at).collect();
            here.sort_by_key(|one| (!one.leads, !one.votes, one.member));
            let candidates = u32::try_from(here.len()).unwrap_or(u32::MAX);
            (here, Seats { cloud: at.0, region: at.1, voters: 0, candidates })
        })
        .collect();
    // Among equals, where voters are already.
    zones.sort_by_key(|(here, _)| {
        let leads = here.iter().any(|one| one.leads);
        (!leads, std::cmp::Reverse(here.iter().filter(|one| one.votes).count()))
    });
    let (here, mut seats): (Vec<_>, Vec<_>) = zones.into_iter().unzip();
    for _ in 0..wanted {
        let Some(next) = next_seat(&seats) else { break };
        seats[next].voters += 1;
    }
    let taken = here.iter().zip(&seats).flat_map(|(here, seats)| here.iter().take(seats.voters as usize));
    taken.map(|one| one.member).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{Candidate, choose_voters, odd_voters};

    /// `1a+` is member 1 in cloud a: `*` leads, `+` votes, `.` follows, `?` follows from afar, `-` votes and is silent,
    /// `x` follows and is silent.
    fn candidates(text: &str) -> Vec<Candidate> {
        let one = |word: &str| {
            let letters: Vec<char> = word.chars().collect();
            let mark = letters[2];
            Candidate {
                member: letters[0].to_digit(10).unwrap().into(),
                cloud: letters[1].to_string(),
                region: "r".into(),
                zone: "z".into(),
                votes: "*+-".contains(mark),
                leads: mark == '*',
                alive: "*+.?".contains(mark),
                caught_up: "*+.".contains(mark),
            }
        };
        text.split_whitespace().map(one).collect()
    }

    #[test]
    fn voters_follow_the_members() {
        for (members, most, expected) in [
            ("1a*", 5, None),
            ("1a* 2b.", 5, None),
            ("1a* 2b. 3c?", 5, None),
            ("1a* 2b. 3c.", 5, Some(vec![1, 2, 3])),
            ("1a* 2b+ 3c+ 4a. 5b. 6c.", 3, None),
            // The third cloud came late.
            ("1a* 2a+ 3b+ 4c.", 3, Some(vec![1, 3, 4])),
            // A silent voter is replaced, in its cloud if that is possible.
            ("1a* 2b+ 3c- 4b. 5c.", 3, Some(vec![1, 2, 5])),
            ("1a* 2b+ 3c- 4b.", 3, Some(vec![1, 2, 4])),
            ("1a* 2b+ 3c-", 3, None),
            // Far behind, it cannot take a seat.
            ("1a* 2b+ 3c- 4c?", 3, None),
            // Without a majority that can be heard nothing changes.
            ("1a+ 2b- 3c- 4b? 5c?", 3, None),
            ("1a* 2a. 3b. 4b. 5c. 6c.", 5, Some(vec![1, 2, 3, 4, 5])),
        ] {
            let chosen =
                choose_voters(&candidates(members), most).map(|set| set.into_iter().collect::<Vec<_>>());
            assert_eq!(chosen, expected, "{members} of {most}");
        }
    }

    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0_u8..4, 0_u8..2, any::<bool>(), any::<bool>(), any::<bool>());
        prop::collection::vec(one, 1..12).prop_map(|parts| {
            let made =
                parts.into_iter().enumerate().map(|(number, (cloud, region, votes, alive, caught_up))| {
                    Candidate {
                        member: number as u64 + 1,
                        cloud: cloud.to_string(),
                        region: region.to_string(),
                        zone: "z".into(),
                        votes,
                        leads: number == 0 && votes,
                        alive,
                        caught_up,
                    }
                });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn a_change_leaves_an_odd_number_with_a_majority_heard_and_then_rests(candidates in any_candidates(), most in 1_u32..8) {
            let Some(chosen) = choose_voters(&candidates, most) else { return Ok(()) };
            prop_assert!(chosen.len() % 2 == 1 && chosen.len() <= most as usize);
            let heard = candidates.iter().filter(|one| one.alive && chosen.contains(&one.member)).count();
            prop_assert!(heard * 2 > chosen.len());
            for one in candidates.iter().filter(|one| chosen.contains(&one.member)) {
                prop_assert!(one.votes || (one.alive && one.caught_up));
            }
            let after: Vec<Candidate> =
                candidates.iter().map(|one| Candidate { votes: chosen.contains(&one.member), ..one.clone() }).collect();
            let lead: BTreeSet<u64> = after.iter().filter(|one| one.leads && one.votes).map(|one| one.member).collect();
            if !lead.is_empty() {
                prop_assert_eq!(choose_voters(&after, most), None);
            }
        }
    }

    #[test]
    fn even_numbers_lose_one() {
        let all: Vec<u32> = (0..8).map(|candidates| odd_voters(candidates, 5)).collect();
        assert_eq!(all, [0, 1, 1, 3, 3, 5, 5, 5]);
    }
}

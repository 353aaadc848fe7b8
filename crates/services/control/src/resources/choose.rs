//! Which provider makes a resource when nobody names one. Pure.

use univrs_model::resource::Amount;
use univrs_ports::provider::ProviderView;

use super::admit::words;

/// A provider that could be chosen.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// What it says of itself.
    pub(super) said: ProviderView,
    /// What the resource would cost there in a month, in millionths; unknown for machines that are one's own.
    pub(super) price: Option<u64>,
}

/// The place of the best candidate among `candidates`; else why none will do, one reason each.
///
/// What cannot be used or has no room is out. Of the rest, those in the wanted region come first, then those that are
/// used less, then those that cost less (an unknown price counts as more than any), then those that come first.
pub(super) fn choose(
    wanted: &Amount,
    region: Option<&str>,
    candidates: &[Candidate],
) -> Result<usize, Vec<String>> {
    let refusals: Vec<Option<String>> =
        candidates.iter().map(|candidate| refusal(wanted, &candidate.said)).collect();
    let fitting = candidates.iter().enumerate().filter(|(place, _)| refusals[*place].is_none());
    let best = fitting.min_by_key(|(place, candidate)| {
        let elsewhere = region.is_some_and(|region| candidate.said.region != region);
        // What is not known counts as half, neither good nor bad.
        let used = candidate.said.used.unwrap_or(50);
        (elsewhere, used, candidate.price.unwrap_or(u64::MAX), *place)
    });
    best.map(|(place, _)| place).ok_or_else(|| refusals.into_iter().flatten().collect())
}

/// Why a provider will not do, if so.
fn refusal(wanted: &Amount, said: &ProviderView) -> Option<String> {
    if !said.available {
        return Some(format!("{}: {}", said.id, said.message));
    }
    let room = said.room.as_ref()?;
    let fits = wanted.cpu <= room.cpu && wanted.memory <= room.memory && wanted.storage <= room.storage;
    (!fits).then(|| {
        format!(
            "{}: it needs {}, and the most that one machine has left is {}",
            said.id,
            words(wanted),
            words(room)
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use univrs_model::quantity::{Bytes, Cpu};
    use univrs_model::resource::Amount;
    use univrs_ports::provider::ProviderView;

    use super::{Candidate, choose};

    fn amount(cpu: u64) -> Amount {
        Amount { cpu: Cpu::millicores(cpu), memory: Bytes::mebibytes(64), storage: Bytes::new(0) }
    }

    fn candidate(
        id: &str,
        room: Option<u64>,
        used: Option<u8>,
        region: &str,
        price: Option<u64>,
    ) -> Candidate {
        let said = ProviderView {
            id: id.to_owned(),
            description: String::new(),
            available: true,
            message: String::new(),
            room: room.map(amount),
            used,
            region: region.to_owned(),
        };
        Candidate { said, price }
    }

    #[test]
    fn what_fits_then_the_region_then_the_least_used_then_the_price_then_the_order() {
        let chosen = |region, all: &[Candidate]| {
            choose(&amount(500), region, all).map(|place| all[place].said.id.clone())
        };
        let (small, busy) = (
            candidate("small", Some(400), Some(0), "", None),
            candidate("busy", Some(900), Some(80), "", None),
        );
        let idle = candidate("idle", Some(900), Some(10), "", None);
        let far = candidate("far", Some(900), Some(0), "us", None);
        let near = candidate("near", None, Some(90), "eu", None);
        let (dear, cheap) =
            (candidate("dear", None, Some(10), "", Some(9)), candidate("cheap", None, Some(10), "", Some(3)));
        for (region, all, expected) in [
            (None, vec![small.clone(), busy.clone(), idle.clone()], "idle"),
            (Some("eu"), vec![far.clone(), near.clone()], "near"),
            (None, vec![far, near], "far"),
            (None, vec![idle.clone(), dear.clone(), cheap.clone()], "cheap"),
            (None, vec![dear.clone(), dear.clone()], "dear"),
        ] {
            assert_eq!(chosen(region, &all).as_deref(), Ok(expected));
        }
        let mut away = idle;
        away.said.available = false;
        away.said.message = "it does not answer".to_owned();
        let refused = chosen(None, &[small, away]).unwrap_err();
        assert_eq!(refused.len(), 2);
        assert!(
            refused[0].contains("it needs cpu 500m") && refused[1] == "idle: it does not answer",
            "{refused:?}"
        );
        assert_eq!(chosen(None, &[]), Err(Vec::new()));
        // More than any disk has.
        let wanted = Amount { storage: Bytes::mebibytes(500 << 10), ..amount(500) };
        let disk = candidate("disk", Some(900), None, "", None);
        let refused = choose(&wanted, None, &[disk]).unwrap_err();
        assert!(refused[0].contains("storage 500Gi"), "{refused:?}");
    }

    proptest! {
        /// Whatever is chosen fits, and nothing that fits in the same region is used less.
        #[test]
        fn nothing_better_is_left(all in prop::collection::vec((0_u64..1000, 0_u8..=100, any::<bool>()), 0..8)) {
            let all: Vec<Candidate> = all
                .into_iter()
                .map(|(room, used, available)| {
                    let mut one = candidate("x", Some(room), Some(used), "", None);
                    one.said.available = available;
                    one
                })
                .collect();
            let fits = |one: &Candidate| one.said.available && one.said.room.is_some_and(|room| room.cpu >= Cpu::millicores(500));
            match choose(&amount(500), None, &all) {
                Ok(place) => {
                    prop_assert!(fits(&all[place]));
                    prop_assert!(all.iter().filter(|one| fits(one)).all(|one| one.said.used >= all[place].said.used));
                }
                Err(reasons) => {
                    prop_assert!(!all.iter().any(fits));
                    prop_assert_eq!(reasons.len(), all.len());
                }
            }
        }
    }
}

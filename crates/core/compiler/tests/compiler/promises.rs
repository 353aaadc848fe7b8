//! Promises over many topologies: sums, unknowns, voters, and growth.

use proptest::prelude::*;
use univrs_compiler::Ballot;
use univrs_cost::Money;

use crate::world::{checked, costed};

/// A valid topology over some regions with roles of some sizes.
fn text(regions: &[bool], voters: u32, web: u32, internet: Option<u32>) -> String {
    const ALL: [(&str, &str); 6] = [
        ("aws", "us-east-1"),
        ("aws", "eu-central-1"),
        ("azure", "eastus"),
        ("gcp", "us-central1"),
        ("gcp", "us-west1"),
        ("hetzner", "fsn1"),
    ];
    let mut text =
        String::from("name = \"any\"\n[network]\nmesh = \"wireguard\"\nadmin_cidrs = [\"203.0.113.0/24\"]\n");
    for ((cloud, name), _) in ALL.iter().zip(regions).filter(|(_, used)| **used) {
        text.push_str(&format!("[[region]]\ncloud = \"{cloud}\"\nname = \"{name}\"\n"));
    }
    let machine = "machine = { aws = \"t3.large\", azure = \"Standard_B2s\", gcp = \"e2-standard-2\", hetzner = \"cx23\" }";
    text.push_str(&format!(
        "[role.voter]\ncount = {voters}\n{machine}\nunivrs = {{ role = \"validator\" }}\n"
    ));
    text.push_str(&format!(
        "[role.web]\ncount = {web}\n{machine}\nports = [{{ port = 443, from = \"internet\" }}]\n"
    ));
    if let Some(internet) = internet {
        text.push_str(&format!("[traffic]\negress = {{ internet = {internet}, between_clouds = 7 }}\n"));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn totals_are_the_sum_of_what_is_known_and_unknown_is_never_zero(
        regions in prop::collection::vec(any::<bool>(), 6),
        voters in 1u32..20,
        web in 1u32..40,
        internet in prop::option::of(0u32..100_000),
    ) {
        prop_assume!(regions.contains(&true));
        let costed = costed(&text(&regions, voters, web, internet), &[]);
        let estimate = &costed.priced.as_ref().unwrap().estimate;
        let components = || estimate.resources.iter().flat_map(|resource| &resource.components);
        let sum: Money = components().filter_map(|component| component.cost).sum();
        prop_assert_eq!(sum, estimate.total);
        prop_assert!(components().all(|component| component.cost.is_some() || component.gap.is_some()));
        prop_assert_eq!(estimate.complete, components().all(|component| component.gap.is_none()));
        let machines = estimate.resources.iter().filter(|r| r.name == "voter" || r.name == "web");
        prop_assert_eq!(machines.map(|resource| resource.count).sum::<u32>(), voters + web);
        prop_assert!(internet.is_some() || !estimate.complete);
    }

    #[test]
    fn voters_are_odd_few_and_spread(
        regions in prop::collection::vec(any::<bool>(), 6),
        voters in 1u32..30,
    ) {
        prop_assume!(regions.contains(&true));
        let ballot: Ballot = checked(&text(&regions, voters, 1, Some(1)), &[]).ballot.unwrap();
        prop_assert_eq!(ballot.candidates(), voters);
        prop_assert!(!ballot.voters().is_multiple_of(2) && ballot.voters() <= 5.min(voters));
        prop_assert!(ballot.zones.iter().all(|zone| zone.voters <= zone.candidates));
        // A cloud has two voters more than another only where the other has no machine left.
        for (cloud, most) in ballot.by_cloud() {
            for (other, least) in ballot.by_cloud() {
                let here = ballot.zones.iter().filter(|zone| zone.region.cloud == other);
                let full = here.map(|zone| zone.candidates).sum::<u32>() == least;
                prop_assert!(most <= least + 1 || full, "{cloud} {most}, {other} {least}");
            }
        }
    }
}

#[test]
fn two_checks_say_the_same() {
    let text = text(&[true; 6], 5, 12, None);
    let (first, second) = (checked(&text, &[]), checked(&text, &[]));
    assert_eq!(first.report, second.report);
}

//! What is free, on which day, and what goes beyond it.

use univrs_cost::estimate::{Estimate, Options, Severity, estimate};
use univrs_cost::item::{Destination, Kind, Machine, Size};
use univrs_cost::{Item, PriceBook, PriceDate, Provider, Quantity};

use crate::build::{components, item, machine, machines, today, usd};

fn under(items: &[Item], plans: &[(Provider, &str)], today: PriceDate) -> Estimate {
    let plans = plans.iter().map(|(provider, plan)| (*provider, (*plan).to_owned())).collect();
    estimate(PriceBook::builtin(), items, &Options { plans, ..Options::on(today) })
}

fn oracle(vcpu: u32, gib: u32) -> Item {
    let shape = machine("VM.Standard.A1.Flex");
    item("oci:us-ashburn-1", 1, Kind::Machine(Machine { size: Some(Size::of(vcpu, gib)), ..shape }))
}

fn codes(estimate: &Estimate) -> Vec<&'static str> {
    estimate.notices.iter().map(|notice| notice.code).filter(|code| code.starts_with("free")).collect()
}

#[test]
fn oracle_gives_two_processors_and_twelve_gib_since_june_2026() {
    let plans = [(Provider::Oci, "always-free")];
    let fits = under(&[oracle(2, 12)], &plans, today());
    assert_eq!(fits.total, usd("0"));
    assert!(fits.complete);
    assert_eq!(codes(&fits), ["free-tier-fits", "free-tier-fits"]);
    assert!(components(&fits).all(|c| c.date().unwrap().to_string() == "2026-06-15"));

    // 2 processors at 0.01 and 12 GiB at 0.0015 an hour beyond the allowance.
    let exceeds = under(&[oracle(4, 24)], &plans, today());
    assert_eq!(exceeds.total, usd("27.74"));
    assert_eq!(codes(&exceeds), ["free-tier-exceeded", "free-tier-exceeded"]);
    let warned = exceeds.notices.iter().find(|notice| notice.code == "free-tier-exceeded").unwrap();
    assert_eq!(warned.severity, Severity::Warning);
    assert!(warned.message.contains("halved on 2026-06-15"), "{}", warned.message);

    // The day before the change it was all free.
    let before = under(&[oracle(4, 24)], &plans, PriceDate::new(2026, 6, 14).unwrap());
    assert_eq!(before.total, usd("0"));

    // Without the plan everything is paid.
    assert_eq!(under(&[oracle(4, 24)], &[], today()).total, usd("55.48"));
}

#[test]
fn an_allowance_is_given_once() {
    let plans = [(Provider::Oci, "always-free")];
    let two = under(&[oracle(2, 12), oracle(2, 12)], &plans, today());
    assert_eq!(two.total, usd("27.74"));
    let micro = [machines("gcp:us-central1", 2, "e2-micro")];
    let two = under(&micro, &[(Provider::Gcp, "always-free")], today());
    assert_eq!(two.total, usd("6.11448"), "one is free, one is 0.008376 an hour");
    let elsewhere = [machines("gcp:europe-west1", 1, "e2-micro")];
    assert!(under(&elsewhere, &[(Provider::Gcp, "always-free")], today()).total > usd("0"));
}

#[test]
fn amazon_no_longer_gives_hours() {
    let worker = [machines("aws:us-east-1", 1, "t3.micro")];
    let legacy = under(&worker, &[(Provider::Aws, "legacy-12-months")], today());
    assert_eq!(legacy.total, usd("7.592"));
    assert_eq!(codes(&legacy), ["free-tier-ended"]);
    let in_time = under(&worker, &[(Provider::Aws, "legacy-12-months")], PriceDate::new(2026, 1, 1).unwrap());
    assert_eq!(in_time.total, usd("0"));
    let credits = under(&worker, &[(Provider::Aws, "credits-2025")], today());
    assert_eq!(credits.total, usd("7.592"));
    assert_eq!(codes(&credits), ["free-tier-credit"]);
    let unknown = under(&worker, &[(Provider::Aws, "gratis")], today());
    assert_eq!(codes(&unknown), ["free-tier-unknown"]);
}

#[test]
fn traffic_has_a_free_part_for_everyone() {
    let egress = |at: &str, gb: u64| {
        item(at, 1, Kind::Egress { to: Destination::Internet, gb: Some(Quantity::units(gb)) })
    };
    assert_eq!(under(&[egress("aws:us-east-1", 100)], &[], today()).total, usd("0"));
    assert_eq!(under(&[egress("aws:us-east-1", 1100)], &[], today()).total, usd("90"));
    // 10 TB at 0.09 and 1 TB at 0.085, after 100 GB.
    assert_eq!(under(&[egress("aws:us-east-1", 11_364)], &[], today()).total, usd("1008.64"));
    // Oracle's first 10 TB are free once, not in each region.
    let two = [egress("oci:us-ashburn-1", 10_240), egress("oci:us-phoenix-1", 1_000)];
    assert_eq!(under(&two, &[], today()).total, usd("8.5"));
    // Hetzner includes 20 TB with each server.
    let with_server = [machines("hetzner:fsn1", 1, "cx23"), egress("hetzner:fsn1", 21_000)];
    let servers = under(&with_server[..1], &[], today()).total;
    assert_eq!(under(&with_server, &[], today()).total - servers, usd("1.157"));
    let undeclared = item("aws:us-east-1", 1, Kind::Egress { to: Destination::Internet, gb: None });
    let open = under(&[undeclared], &[], today());
    assert!(!open.complete && open.undeclared == 1 && open.unpriced == 0);
}

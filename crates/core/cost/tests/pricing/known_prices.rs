//! Prices recomputed by hand from the providers' lists.

use univrs_cost::book::{Basis, Need};
use univrs_cost::item::{Balancer, Database, Kind, Purchase, Size, Term};
use univrs_cost::table::Arch;
use univrs_cost::{PriceBook, Provider};

use crate::build::{bought, components, item, machines, place, priced, usd};

#[test]
fn compute_of_the_three_cloud_example() {
    // Validators, business and slim nodes of one region each, at 730 hours.
    let regions = [
        ("aws:us-east-1", ["c6i.4xlarge", "c6i.2xlarge", "t3.large"], ["1985.6", "1489.2", "728.832"]),
        ("aws:us-west-2", ["c6i.4xlarge", "c6i.2xlarge", "t3.large"], ["1985.6", "1489.2", "728.832"]),
        (
            "azure:eastus",
            ["Standard_D8s_v5", "Standard_D4s_v5", "Standard_B2s"],
            ["1121.28", "840.96", "364.416"],
        ),
        (
            "azure:westus",
            ["Standard_D8s_v5", "Standard_D4s_v5", "Standard_B2s"],
            ["1308.16", "981.12", "434.496"],
        ),
    ];
    for (at, types, costs) in regions {
        for ((type_name, cost), count) in types.into_iter().zip(costs).zip([4, 6, 12]) {
            let estimate = priced(&[machines(at, count, type_name)]);
            assert_eq!(estimate.total, usd(cost), "{at} {type_name}");
            assert!(estimate.complete);
        }
    }
    // Google's prices have six digits; the sums round to 1,219.44, 914.58 and 587.02.
    for at in ["gcp:us-central1", "gcp:us-west1"] {
        for (type_name, count, cost) in [
            ("c2-standard-8", 4, "1,219.44"),
            ("c2-standard-4", 6, "914.58"),
            ("e2-standard-2", 12, "587.02"),
        ] {
            assert_eq!(priced(&[machines(at, count, type_name)]).total.rounded(), cost, "{at} {type_name}");
        }
    }
}

#[test]
fn commitments_and_spot() {
    let cases = [
        ("aws:us-east-1", "t3.medium", Purchase::Reserved(Term::OneYear), "19.04874"),
        ("gcp:us-central1", "c2-standard-8", Purchase::Reserved(Term::OneYear), ""),
        ("azure:eastus", "Standard_D2s_v5", Purchase::Reserved(Term::ThreeYears), ""),
    ];
    for (at, type_name, purchase, cost) in cases {
        let (bought, list) =
            (priced(&[bought(at, 1, type_name, purchase)]), priced(&[machines(at, 1, type_name)]));
        assert!(bought.complete && bought.total < list.total, "{at} {type_name}");
        if !cost.is_empty() {
            assert_eq!(bought.total.rounded(), usd(cost).rounded(), "{at} {type_name}");
        }
    }
    let book = PriceBook::builtin();
    let basis = |at: &str, name: &str, term| book.commitment(&place(at), name, term).map(|c| c.basis);
    assert_eq!(basis("aws:us-east-1", "t3.medium", Term::OneYear), Some(Basis::Type));
    assert_eq!(basis("aws:us-west-2", "t3.large", Term::OneYear), Some(Basis::Family));
    assert_eq!(basis("aws:us-east-1", "c6i.4xlarge", Term::OneYear), Some(Basis::Provider));
    assert_eq!(basis("aws:us-east-1", "p4d.24xlarge", Term::OneYear), None);
    assert_eq!(basis("azure:eastus", "Standard_D8s_v5", Term::OneYear), Some(Basis::Family));
    assert_eq!(basis("azure:eastus", "Standard_B2s", Term::OneYear), None);
    assert_eq!(basis("gcp:us-west1", "e2-standard-2", Term::OneYear), Some(Basis::Family));
    assert_eq!(basis("gcp:us-west1", "e2-micro", Term::OneYear), None);
    assert_eq!(basis("hetzner:fsn1", "cx23", Term::OneYear), None);
}

#[test]
fn no_spot_price_is_invented() {
    let estimate = priced(&[bought("azure:eastus", 12, "Standard_B2s", Purchase::Spot)]);
    assert!(!estimate.complete);
    assert_eq!(estimate.unpriced, 1);
    assert_eq!(estimate.total, usd("0"));
    assert!(components(&estimate).all(|component| component.cost.is_none()));
}

#[test]
fn managed_servers() {
    let database = |high_availability| Database {
        size: Size::of(4, 32),
        storage_gib: 512,
        high_availability,
        class: None,
        backup_gb: None,
    };
    let first = |at: &str, kind: Kind| {
        let estimate = priced(&[item(at, 1, kind)]);
        let component = components(&estimate).next().unwrap().clone();
        (component.name, component.cost)
    };
    let (name, cost) = first("aws:us-east-1", Kind::Database(database(false)));
    assert!(name.contains("db.r6g.xlarge"), "{name}");
    assert_eq!(cost, Some(usd("328.5")));
    let (name, cost) = first("aws:us-east-1", Kind::Database(database(true)));
    assert!(name.contains("db.r6g.xlarge"), "{name}");
    assert_eq!(cost, Some(usd("656.27")));
    // 512 GB at 0.23.
    let estimate = priced(&[item("aws:us-east-1", 1, Kind::Database(database(true)))]);
    assert!(components(&estimate).any(|c| c.cost == Some(usd("117.76"))));
    // Two caches of 13 GB: 2 × 0.206 × 730.
    let cache = Kind::Cache { mib: 13 * 1024, replicas: 1, class: None };
    assert_eq!(first("aws:us-east-1", cache.clone()), ("cache.r6g.large".to_owned(), Some(usd("300.76"))));
    assert_eq!(first("azure:eastus", cache).1, Some(usd("810.3")));
    // An Azure server in a region without a price stays open, with the price of another as a hint.
    let estimate = priced(&[item("azure:eastus", 1, Kind::Database(database(true)))]);
    let server = components(&estimate).next().unwrap();
    assert_eq!(server.cost, None);
    assert!(server.gap_text().unwrap().contains("westus"), "{server:?}");
}

#[test]
fn network_parts() {
    let balancer = Kind::LoadBalancer { kind: Balancer::Application, processed_gb: None };
    let nat = Kind::Nat { machines: 4, processed_gb: None };
    let cases = [
        ("aws:us-east-1", nat.clone(), "32.85"),
        // 0.0448 an hour for 32 machines, so 0.0014 for each.
        ("gcp:us-central1", nat, "4.088"),
        ("azure:eastus", Kind::Vpn { connections: 2 }, "138.7"),
        ("aws:us-east-1", Kind::Vpn { connections: 1 }, "36.5"),
        ("gcp:us-central1", Kind::Vpn { connections: 1 }, "36.5"),
        ("aws:us-east-1", Kind::PublicAddress, "3.65"),
        ("hetzner:fsn1", balancer, "8.66067"),
    ];
    for (at, kind, cost) in cases {
        let shown = format!("{at} {kind:?}");
        assert_eq!(priced(&[item(at, 1, kind)]).total, usd(cost), "{shown}");
    }
}

#[test]
fn machines_by_need() {
    let book = PriceBook::builtin();
    let need = Need { size: Size::of(4, 16), arch: Some(Arch::X86_64), shared: false };
    let found = book.cheapest(&place("aws:us-east-1"), need).unwrap();
    assert!(found.size.covers(need.size) && found.arch == Arch::X86_64, "{found:?}");
    for other in book.fitting(&place("aws:us-east-1"), need) {
        let (best, other) = (found.on_demand.unwrap(), other.on_demand);
        assert!(other.is_none_or(|other| best.amount <= other.amount));
    }
    assert!(book.cheapest(&place("hetzner:fsn1"), Need { size: Size::of(96, 1), ..need }).is_none());
    assert!(book.sells(Provider::Azure, "Standard_D8s_v5") && !book.sells(Provider::Aws, "Standard_D8s_v5"));
    assert_eq!(book.near_types(Provider::Aws, "c6i.4xlrge", 1), ["c6i.4xlarge"]);
    assert_eq!(book.near_types(Provider::Azure, "standard_d8s_V5", 1), ["Standard_D8s_v5"]);
    assert!(book.near_types(Provider::Hetzner, "utterly-different-thing", 3).is_empty());
}

#[test]
fn a_managed_server_costs_no_less_than_its_machine() {
    let book = PriceBook::builtin();
    let mut compared = 0;
    for market in book.tables().markets.iter().filter(|market| market.provider == Provider::Aws) {
        for machine in &market.machines {
            let bare = machine.name.strip_prefix("db.").or_else(|| machine.name.strip_prefix("cache."));
            let Some(bare) = bare else { continue };
            let own = market.machines.iter().find(|other| other.name == bare);
            let pair = machine.on_demand.zip(own.and_then(|own| own.on_demand));
            if let Some((managed, own)) = pair {
                compared += 1;
                assert!(managed.nanos >= own.nanos, "{} in {}", machine.name, market.region);
            }
        }
    }
    assert!(compared > 1000, "only {compared} compared");
}

#[test]
fn windows_prices_mixed_into_azure_rows_are_withheld() {
    let book = PriceBook::builtin();
    let eastus = place("azure:eastus");
    let d2 = book.machine(&eastus, "Standard_D2as_v5").unwrap();
    let d4 = book.machine(&eastus, "Standard_D4as_v5").unwrap();
    assert_eq!(d2.on_demand, None, "0.178 is the Windows price");
    assert_eq!(d4.on_demand.unwrap().amount, usd("0.172"));
}

#[test]
fn coverage_counts_every_row_once() {
    let coverage = PriceBook::builtin().coverage();
    let types: u32 = coverage.machines.iter().map(|family| family.types).sum();
    assert_eq!(types, 17_392);
    let withheld: u32 = coverage.machines.iter().map(|family| family.types - family.on_demand).sum();
    assert_eq!(withheld, 413);
    assert!(coverage.machines.iter().all(|family| family.spot <= family.types));
    let nat = coverage.services.iter().find(|row| row.provider == Provider::Aws && row.sku == "nat-hour");
    assert_eq!(nat.map(|row| (row.regions, row.everywhere)), Some((1, false)));
    assert!(serde_json::to_value(&coverage).unwrap()["machines"][0]["family"].is_string());
}

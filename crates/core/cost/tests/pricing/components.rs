//! Single components: discounts, kept prices, ages, other regions' prices, flexible sizes.

use univrs_cost::estimate::{Gap, Missing, Options, difference, estimate};
use univrs_cost::item::{
    Disk, DiskClass, Grandfathered, Kind, Machine, ObjectStorage, Purchase, Redundancy, Size, StorageClass,
    Term,
};
use univrs_cost::{PriceBook, PriceDate, Provider, Quantity, Ratio};

use crate::build::{components, item, machine, machines, place, priced, today, usd};

fn with(items: &[univrs_cost::Item], options: Options) -> univrs_cost::estimate::Estimate {
    estimate(PriceBook::builtin(), items, &options)
}

#[test]
fn a_discount_factor_is_taken_off_each_price() {
    let items =
        [machines("aws:us-east-1", 1, "c6i.4xlarge"), machines("gcp:us-central1", 1, "c2-standard-8")];
    let discounts = [(Provider::Aws, Ratio::percent(90))].into();
    let discounted = with(&items, Options { discounts, ..Options::on(today()) });
    let list = priced(&items);
    assert_eq!(discounted.resources[0].cost(), usd("446.76"));
    assert_eq!(discounted.resources[1].cost(), list.resources[1].cost());
}

#[test]
fn a_kept_price_replaces_the_list() {
    let kept = Grandfathered {
        place: place("hetzner:fsn1"),
        type_name: "cx23".to_owned(),
        per_hour: usd("0.0064"),
        date: PriceDate::new(2026, 1, 1).unwrap(),
    };
    let options = Options { grandfathered: vec![kept], ..Options::on(today()) };
    let items = [machines("hetzner:fsn1", 2, "cx23"), machines("hetzner:nbg1", 1, "cx23")];
    let estimate = with(&items, options);
    assert_eq!(estimate.resources[0].cost(), usd("9.344"));
    assert_eq!(estimate.resources[1].cost(), usd("8.08913"));
    assert_eq!(estimate.oldest.unwrap().to_string(), "2026-01-01");
}

#[test]
fn old_prices_are_named_once_for_each_source() {
    let items = [
        machines("aws:us-east-1", 1, "c6i.4xlarge"),
        machines("aws:us-west-2", 1, "c6i.4xlarge"),
        machines("aws:us-west-2", 1, "t3.large"),
    ];
    let options = Options { max_price_age: Some(365), ..Options::on(today()) };
    let estimate = with(&items, options);
    let old: Vec<&str> =
        estimate.notices.iter().filter(|n| n.code == "old-price").map(|n| n.message.as_str()).collect();
    assert_eq!(old.len(), 1, "{old:?}");
    assert!(old[0].contains("2024-08-09 are 834 days old, more than 365"), "{old:?}");
    assert_eq!(estimate.oldest.unwrap().to_string(), "2024-08-09");
}

#[test]
fn a_price_of_another_region_is_a_hint_or_an_assumption_that_shows() {
    let nat = item("azure:eastus", 1, Kind::Nat { machines: 1, processed_gb: Some(Quantity::units(10)) });
    let strict = priced(std::slice::from_ref(&nat));
    assert_eq!(strict.total, usd("0"));
    assert_eq!(strict.unpriced, 2);
    let assumed = with(&[nat], Options { missing: Missing::AssumeElsewhere, ..Options::on(today()) });
    assert_eq!(assumed.total, usd("33.3"));
    assert!(!assumed.complete, "an assumption does not make a total whole");
    assert!(components(&assumed).all(|c| c.gap == Some(Gap::Assumed { region: "westeurope" })));
}

#[test]
fn unknown_types_say_what_is_near() {
    let cases = [
        ("aws:us-east-1", "c6i.4xlrge", "near it: c6i.4xlarge"),
        ("aws:us-east-1", "utterly-unknown", "does not know this type"),
        ("azure:westus", "Standard_D2as_v5", ""),
        ("aws:moon-1", "c6i.4xlarge", "no price of this type in moon-1"),
    ];
    for (at, type_name, expected) in cases {
        let estimate = priced(&[machines(at, 1, type_name)]);
        let note = components(&estimate).filter_map(|c| c.note.clone()).collect::<String>();
        assert!(note.contains(expected), "{at} {type_name}: {note}");
        assert!(expected.is_empty() || !estimate.complete);
    }
}

#[test]
fn flexible_shapes_cost_their_processors_and_memory() {
    let sized = |name: &str, vcpu, gib| {
        let machine = Machine { size: Some(Size::of(vcpu, gib)), ..machine(name) };
        priced(&[item("oci:us-ashburn-1", 1, Kind::Machine(machine))])
    };
    // The sized rows of the book agree with the rates.
    let book = PriceBook::builtin();
    let ashburn = place("oci:us-ashburn-1");
    for (name, vcpu, gib) in [
        ("VM.Standard.A1.Flex", 4, 24),
        ("VM.Standard.E4.Flex", 8, 32),
        ("VM.Standard.E5.Flex", 16, 64),
        ("VM.Standard3.Flex", 32, 128),
    ] {
        let row = book.machine(&ashburn, &format!("{name}$_{vcpu}_{gib}")).unwrap();
        let hourly = row.on_demand.unwrap().amount;
        assert_eq!(sized(name, vcpu, gib).total, hourly.times(Quantity::units(730)), "{name}");
    }
    // A shape without rates is known in the sizes of the book only.
    assert!(sized("VM.Standard.E3.Flex", 8, 32).complete);
    assert!(!sized("VM.Standard.E3.Flex", 6, 20).complete);
}

#[test]
fn disks_by_class() {
    let disk = |at: &str, type_name: &str, gib, class| {
        let plain = priced(&[machines(at, 2, type_name)]).total;
        let machine = Machine { disk: Some(Disk { gib, class }), ..machine(type_name) };
        let with = priced(&[item(at, 2, Kind::Machine(machine))]);
        (with.total - plain, with.complete)
    };
    assert_eq!(disk("aws:us-east-1", "t3.large", 500, DiskClass::Balanced), (usd("80"), true));
    assert_eq!(disk("gcp:us-central1", "e2-standard-2", 50, DiskClass::Balanced), (usd("10"), true));
    assert_eq!(disk("azure:eastus", "Standard_D8s_v5", 32, DiskClass::Fast), (usd("10.56"), true));
    // Azure sells a terabyte where 600 GiB are asked for, and the size of 512 GiB has no price.
    assert_eq!(disk("azure:eastus", "Standard_D8s_v5", 600, DiskClass::Balanced), (usd("153.6"), true));
    assert_eq!(disk("azure:eastus", "Standard_D8s_v5", 500, DiskClass::Balanced), (usd("0"), false));
    // 0.0255 and ten performance units at 0.0017.
    assert_eq!(disk("oci:us-ashburn-1", "VM.Standard.E4.Flex", 100, DiskClass::Balanced), (usd("8.5"), true));
}

#[test]
fn objects_by_class_and_redundancy() {
    let kept = |at: &str, class, redundancy| {
        let kept = vec![(class, Some(Quantity::units(1000)))];
        priced(&[item(at, 1, Kind::ObjectStorage(ObjectStorage { kept, redundancy }))])
    };
    let cases = [
        ("aws:us-east-1", StorageClass::Hot, Redundancy::Local, "23"),
        ("aws:us-east-1", StorageClass::Archive, Redundancy::Local, "3.6"),
        ("azure:westus", StorageClass::Hot, Redundancy::Regions, "45.8"),
        ("gcp:us-central1", StorageClass::Hot, Redundancy::Local, "20"),
        ("gcp:us-central1", StorageClass::Hot, Redundancy::Regions, "26"),
        ("oci:us-ashburn-1", StorageClass::Hot, Redundancy::Local, "25.245"),
        ("cloudflare:global", StorageClass::Hot, Redundancy::Local, "15"),
    ];
    for (at, class, redundancy, cost) in cases {
        let estimate = kept(at, class, redundancy);
        assert_eq!(estimate.total, usd(cost), "{at} {class:?}");
        assert!(estimate.complete, "{at} {class:?}");
    }
    assert!(!kept("azure:westus", StorageClass::Cool, Redundancy::Local).complete);
}

#[test]
fn a_promise_is_paid_for_all_hours() {
    let reserved = |hours| {
        let machine = Machine { purchase: Purchase::Reserved(Term::OneYear), hours, ..machine("t3.medium") };
        priced(&[item("aws:us-east-1", 1, Kind::Machine(machine))])
    };
    let (all, half) = (reserved(None), reserved(Some(Quantity::units(365))));
    assert_eq!(all.total, half.total);
    assert!(half.notices.iter().any(|notice| notice.code == "reserved-idle"));
}

#[test]
fn differences_name_what_is_new_changed_and_gone() {
    let named = |name: &str, count| {
        let item = machines("aws:us-east-1", count, "t3.large");
        univrs_cost::Item { name: name.to_owned(), ..item }
    };
    let before = priced(&[named("kept", 1), named("grown", 1), named("gone", 1)]);
    let after = priced(&[named("kept", 1), named("grown", 3), named("new", 1)]);
    let change = difference(&before, &after);
    let changed: Vec<(&str, String)> =
        change.resources.iter().map(|r| (r.name.as_str(), r.change().to_string())).collect();
    assert_eq!(
        changed,
        [("gone", "-60.736".to_owned()), ("grown", "121.472".to_owned()), ("new", "60.736".to_owned())]
    );
    assert_eq!(change.after - change.before, usd("121.472"));
    assert!(change.complete);
    assert!(difference(&before, &before).resources.is_empty());
}

//! Properties of estimates over random items.

use proptest::prelude::*;
use univrs_cost::estimate::{Gap, Missing, Options, estimate};
use univrs_cost::item::{
    Balancer, Database, Destination, Disk, DiskClass, Kind, Machine, ObjectStorage, Purchase, Redundancy,
    Size, StorageClass, Term,
};
use univrs_cost::{Item, Money, Place, PriceBook, Provider, Quantity, Ratio};

use crate::build::{components, priced, today};

fn at() -> impl Strategy<Value = Place> {
    let places: Vec<Place> = [
        "aws:us-east-1",
        "aws:us-west-2",
        "aws:moon-1",
        "azure:eastus",
        "azure:westus",
        "gcp:us-central1",
        "gcp:europe-west1",
        "oci:us-ashburn-1",
        "hetzner:fsn1",
        "hetzner:hel1",
        "digitalocean:nyc1",
        "cloudflare:global",
    ]
    .iter()
    .filter_map(|text| Place::parse(text))
    .collect();
    prop::sample::select(places)
}

fn amount() -> impl Strategy<Value = Option<Quantity>> {
    prop::option::of((0_i128..200_000_000_000_000).prop_map(Quantity::from_micros))
}

fn size() -> impl Strategy<Value = Size> {
    (1_u32..64, 1_u32..512).prop_map(|(vcpu, gib)| Size::of(vcpu, gib))
}

fn machine() -> impl Strategy<Value = Kind> {
    let types = [
        "c6i.4xlarge",
        "t3.large",
        "Standard_D8s_v5",
        "Standard_B2s",
        "e2-micro",
        "c2-standard-8",
        "VM.Standard.A1.Flex",
        "VM.Standard.E3.Flex",
        "cx23",
        "s-1vcpu-1gb",
        "no-such-type",
    ];
    let purchase = prop::sample::select(vec![
        Purchase::OnDemand,
        Purchase::Spot,
        Purchase::Reserved(Term::OneYear),
        Purchase::Reserved(Term::ThreeYears),
    ]);
    let class = prop::sample::select(vec![DiskClass::Economy, DiskClass::Balanced, DiskClass::Fast]);
    let disk = prop::option::of((1_u32..40_000, class).prop_map(|(gib, class)| Disk { gib, class }));
    (prop::sample::select(types.to_vec()), prop::option::of(size()), purchase, disk, any::<bool>()).prop_map(
        |(name, size, purchase, disk, public_address)| {
            let type_name = name.to_owned();
            Kind::Machine(Machine { type_name, size, purchase, disk, public_address, hours: None })
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    let balancer = prop::sample::select(vec![Balancer::Application, Balancer::Network, Balancer::Global]);
    let class = prop::sample::select(vec![StorageClass::Hot, StorageClass::Cool, StorageClass::Archive]);
    let copies = prop::sample::select(vec![Redundancy::Local, Redundancy::Zones, Redundancy::Regions]);
    let to =
        prop_oneof![Just(Destination::Internet), Just(Destination::Zone), at().prop_map(Destination::Region)];
    prop_oneof![
        4 => machine(),
        1 => size().prop_map(|size| Kind::ContainerGroup { size }),
        1 => (0_u32..50, amount()).prop_map(|(machines, processed_gb)| Kind::Nat { machines, processed_gb }),
        1 => (balancer, amount()).prop_map(|(kind, processed_gb)| Kind::LoadBalancer { kind, processed_gb }),
        1 => (0_u32..20).prop_map(|connections| Kind::Vpn { connections }),
        1 => Just(Kind::PublicAddress),
        2 => (to, amount()).prop_map(|(to, gb)| Kind::Egress { to, gb }),
        2 => (class, amount(), copies).prop_map(|(class, gb, redundancy)| {
            Kind::ObjectStorage(ObjectStorage { kept: vec![(class, gb)], redundancy })
        }),
        2 => (size(), 1_u32..4000, any::<bool>(), amount()).prop_map(|(size, storage_gib, ha, backup_gb)| {
            Kind::Database(Database { size, storage_gib, high_availability: ha, class: None, backup_gb })
        }),
        1 => (1_u32..200_000, 0_u32..3).prop_map(|(mib, replicas)| Kind::Cache { mib, replicas, class: None }),
        1 => (1_u32..5, amount(), 0_u32..9).prop_map(|(zones, million_queries, health_checks)| {
            Kind::Dns { zones, million_queries, health_checks }
        }),
        1 => (1_u32..9, amount()).prop_map(|(keys, requests)| Kind::Keys { keys, requests }),
        1 => (amount(), amount()).prop_map(|(ingested_gb, kept_gb)| Kind::Logs { ingested_gb, kept_gb }),
    ]
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (at(), 1_u32..30, kind());
    prop::collection::vec(item, 1..12).prop_map(|items| {
        let named = |(index, (place, count, kind)): (usize, (Place, u32, Kind))| Item {
            name: format!("item {index}"),
            place,
            count,
            kind,
        };
        items.into_iter().enumerate().map(named).collect()
    })
}

fn options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), 1_u32..=100).prop_map(|(free, assume, paid)| {
        let plans = [
            (Provider::Oci, "always-free".to_owned()),
            (Provider::Gcp, "always-free".to_owned()),
            (Provider::Azure, "12-months".to_owned()),
        ];
        Options {
            plans: if free { plans.into() } else { Default::default() },
            discounts: [(Provider::Aws, Ratio::percent(paid))].into(),
            missing: if assume { Missing::AssumeElsewhere } else { Missing::Unknown },
            ..Options::on(today())
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// COST-6: the total is the sum of its parts to the last billionth, however it is summed up.
    #[test]
    fn totals_are_sums(items in items(), options in options()) {
        let estimate = estimate(PriceBook::builtin(), &items, &options);
        let by_component: Money = components(&estimate).filter_map(|component| component.cost).sum();
        let by_resource: Money = estimate.resources.iter().map(|resource| resource.cost()).sum();
        prop_assert_eq!(estimate.total, by_component);
        prop_assert_eq!(estimate.total, by_resource);
        for component in components(&estimate) {
            if let (Some(price), Some(amount)) = (component.price, component.amount) {
                prop_assert_eq!(component.cost, Some(price.amount.times(amount)), "{}", component.name);
            }
        }
    }

    /// COST-7: what has no price or no amount has no cost and shows; what costs nothing has a price that says so.
    #[test]
    fn unknown_is_never_zero(items in items(), options in options()) {
        let estimate = estimate(PriceBook::builtin(), &items, &options);
        prop_assert_eq!(estimate.complete, components(&estimate).all(|component| component.gap.is_none()));
        for component in components(&estimate) {
            match &component.gap {
                Some(Gap::Price { .. }) => {
                    prop_assert!(component.price.is_none() && component.cost.is_none(), "{:?}", component);
                }
                Some(Gap::Amount) => prop_assert!(component.cost.is_none(), "{:?}", component),
                Some(Gap::Assumed { .. }) | None => {
                    prop_assert!(component.cost.is_some(), "{:?}", component);
                    prop_assert!(component.source().is_some_and(|source| !source.is_empty()));
                }
            }
            prop_assert!(component.cost.is_none_or(|cost| cost >= Money::ZERO));
        }
        // Nothing vanishes: every item has at least one component, unless what is asked for is nothing.
        for (item, resource) in items.iter().zip(&estimate.resources) {
            if matches!(item.kind, Kind::Machine(_) | Kind::Database(_) | Kind::Cache { .. } | Kind::ContainerGroup { .. }) {
                prop_assert!(!resource.components.is_empty(), "{:?}", item);
            }
        }
    }

    /// Without free allowances and steps, twice as many machines cost twice as much.
    #[test]
    fn machines_are_linear_in_number(kind in machine(), place in at(), count in 1_u32..1000) {
        let item = |count| Item { name: "it".to_owned(), place: place.clone(), count, kind: kind.clone() };
        let (one, many) = (priced(&[item(1)]), priced(&[item(count)]));
        let expected = one.total.times(Quantity::units(u64::from(count)));
        // Each component is rounded once.
        let error = (many.total - expected).nanos().unsigned_abs();
        prop_assert!(error <= 8 * u128::from(count), "{} and {}", many.total, expected);
        prop_assert_eq!(one.complete, many.complete);
    }

    /// More of it never costs less.
    #[test]
    fn traffic_grows(place in at(), less in 0_u64..500_000, more in 0_u64..500_000) {
        let cost = |gb: u64| {
            let kind = Kind::Egress { to: Destination::Internet, gb: Some(Quantity::units(gb)) };
            priced(&[Item { name: "it".to_owned(), place: place.clone(), count: 1, kind }]).total
        };
        prop_assert!(cost(less.min(more)) <= cost(less.max(more)));
    }
}

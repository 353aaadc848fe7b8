//! Servers the provider runs: PostgreSQL and Redis.

use super::component::Component;
use super::desk::{Desk, hours, months};
use crate::book::{Elsewhere, Price};
use crate::item::{Database, Item, Size};
use crate::money::{HOURS_PER_MONTH, Quantity};
use crate::place::Place;
use crate::table::Provider;

/// What a provider offers for a need: its type and its price for all machines of one server.
struct Offer {
    name: String,
    region: &'static str,
    price: Price,
    /// How many of the price's units one server takes: the standby counts where it is not in the price.
    units: u64,
}

impl Desk<'_> {
    pub(super) fn database(&self, item: &Item, database: &Database) -> Vec<Component> {
        let place = &item.place;
        let mut components = match place.provider {
            Provider::Aws => vec![self.server(item, rds_offers(self, place, database))],
            Provider::Azure => vec![self.server(item, flexible_server_offers(self, database))],
            Provider::Gcp => self.cloud_sql(item, database),
            Provider::Digitalocean => vec![self.droplet_database(item, database)],
            Provider::Oci | Provider::Hetzner | Provider::Cloudflare => {
                vec![
                    Component::unpriced("PostgreSQL server", "hours", Some(hours(item.count)))
                        .noted(format!("no price of a managed PostgreSQL at {} is known", place.provider)),
                ]
            }
        };
        components.extend(self.database_storage(item, database));
        components
    }

    /// The cheapest offer of the region; without one, the cheapest of any region is a hint.
    fn server(&self, item: &Item, offers: Vec<Offer>) -> Component {
        let place = &item.place;
        let here = |offer: &&Offer| offer.region == place.region || offer.region == "*";
        let cost =
            |offer: &&Offer| (offer.price.amount.times(Quantity::units(offer.units)), offer.name.clone());
        if let Some(offer) = offers.iter().filter(here).min_by_key(cost) {
            let price = self.discounted(place.provider, offer.price);
            return Component::priced(&offer.name, price, Some(hours(item.count).times(offer.units)));
        }
        match offers.iter().min_by_key(cost) {
            Some(offer) => {
                let elsewhere = Some(Elsewhere { region: offer.region, price: offer.price });
                let amount = Some(hours(item.count).times(offer.units));
                self.priced_elsewhere(place.provider, offer.name.clone(), elsewhere, amount)
            }
            None => Component::unpriced("PostgreSQL server", "hours", Some(hours(item.count)))
                .noted("no type with a known price meets the stated size"),
        }
    }

    fn cloud_sql(&self, item: &Item, database: &Database) -> Vec<Component> {
        let kind = if database.high_availability { "regional-ha" } else { "zonal" };
        let (vcpu, gib) = crate::book::units(database.size);
        let all_month =
            |amount: Quantity| Some(amount.times(u64::from(HOURS_PER_MONTH) * u64::from(item.count)));
        let line = |what: &str, sku: String, amount| {
            self.line(&item.place, format!("Cloud SQL, {what}, {kind}"), ("managed_postgres", &sku), amount)
        };
        vec![
            line("processors", format!("cloudsql-enterprise-vcpu-{kind}"), all_month(vcpu)),
            line("memory", format!("cloudsql-enterprise-memory-{kind}"), all_month(gib)),
        ]
    }

    fn droplet_database(&self, item: &Item, database: &Database) -> Component {
        let only = Size::of(1, 1);
        if database.high_availability || !only.covers(database.size) {
            return Component::unpriced("PostgreSQL server", "months", Some(months(item.count)))
                .noted("only the price of one node with 1 vCPU and 1 GB is known");
        }
        let sku = ("managed_postgres", "1vcpu-1gb-single-node-month");
        self.line(&item.place, "PostgreSQL node, 1 vCPU 1 GB", sku, Some(months(item.count)))
    }

    fn database_storage(&self, item: &Item, database: &Database) -> Vec<Component> {
        let place = &item.place;
        let gb = Quantity::units(u64::from(database.storage_gib) * u64::from(item.count));
        let backup_gb = database.backup_gb.map(|gb| gb.times(u64::from(item.count)));
        let (storage, backup, copies) = match (place.provider, database.high_availability) {
            (Provider::Aws, true) => ("rds-multi-az-gp3-gb-month", "rds-backup-gb-month", 1),
            (Provider::Aws, false) => ("rds-single-az-gp3-gb-month", "rds-backup-gb-month", 1),
            // The standby of a flexible server has storage of its own.
            (Provider::Azure, true) => ("flex-storage-gb-month", "flex-backup-gb-month", 2),
            (Provider::Azure, false) => ("flex-storage-gb-month", "flex-backup-gb-month", 1),
            (Provider::Gcp, true) => ("cloudsql-storage-ssd-regional-ha", "cloudsql-backup", 1),
            (Provider::Gcp, false) => ("cloudsql-storage-ssd-zonal", "cloudsql-backup", 1),
            _ => {
                return vec![
                    Component::unpriced("database storage", "GB", Some(gb)),
                    Component::unpriced("database backups", "GB", backup_gb).by_use(),
                ];
            }
        };
        let line =
            |name: &str, sku: &str, amount| self.line(place, name, ("managed_postgres_storage", sku), amount);
        vec![
            line("database storage", storage, Some(gb.times(copies))),
            line("database backups", backup, backup_gb).by_use(),
        ]
    }

    pub(super) fn cache(&self, item: &Item, mib: u32, replicas: u32, class: Option<&str>) -> Vec<Component> {
        let place = &item.place;
        let nodes = replicas.saturating_add(1).saturating_mul(item.count);
        let unknown =
            |why: &str| vec![Component::unpriced("Redis node", "hours", Some(hours(nodes))).noted(why)];
        match place.provider {
            Provider::Aws => {
                let machines = self.book.market(place).map_or(&[][..], |market| &market.machines);
                let fitting = machines
                    .iter()
                    .filter(|m| m.name.starts_with("cache."))
                    .filter(|m| class.map_or(m.mib >= mib, |class| class == m.name))
                    .filter_map(|m| self.book.machine(place, m.name))
                    .filter_map(|machine| Some((machine.on_demand?, machine.name)))
                    .min_by_key(|(price, name)| (price.amount, *name));
                match fitting {
                    Some((price, name)) => {
                        let price = self.discounted(place.provider, price);
                        vec![Component::priced(name, price, Some(hours(nodes)))]
                    }
                    None => unknown("no node type with a known price meets the stated memory"),
                }
            }
            Provider::Azure => self.azure_cache(item, mib, nodes, class),
            Provider::Gcp => self.memorystore(item, mib, replicas),
            Provider::Oci => {
                let gb = mib.div_ceil(1024);
                // The list has a lower price per GB for nodes above 10 GB.
                let sku = if gb <= 10 { "redis-low-memory-gb-hour" } else { "redis-high-memory-gb-hour" };
                let amount = Some(hours(nodes).times(u64::from(gb)));
                vec![self.line(place, "Redis memory", ("managed_redis", sku), amount)]
            }
            Provider::Hetzner | Provider::Digitalocean | Provider::Cloudflare => {
                unknown("no price of a managed Redis is known here")
            }
        }
    }

    fn azure_cache(&self, item: &Item, mib: u32, nodes: u32, class: Option<&str>) -> Vec<Component> {
        let rows = self.book.services(Provider::Azure, "managed_redis").filter_map(|row| {
            let size = row.sku.strip_suffix("gb-node-month")?.rsplit_once('-')?.1.parse::<u32>().ok()?;
            // Standard caches have no zones; a choice is by name.
            let fits = match class {
                Some(class) => row.sku.starts_with(class),
                None => row.sku.starts_with("premium-") && size.saturating_mul(1024) >= mib,
            };
            fits.then_some(row)
        });
        match rows.min_by_key(|row| row.quote.nanos) {
            Some(row) => {
                let name = format!("Azure Cache for Redis, {}", row.sku.trim_end_matches("-node-month"));
                vec![self.line(&item.place, name, ("managed_redis", row.sku), Some(months(nodes)))]
            }
            None => vec![
                Component::unpriced("Redis node", "months", Some(months(nodes)))
                    .noted("no node type with a known price meets the stated memory"),
            ],
        }
    }

    /// Memorystore is sold by GB in five sizes; with one replica it is the standard tier, whose price has both copies.
    fn memorystore(&self, item: &Item, mib: u32, replicas: u32) -> Vec<Component> {
        let gb = mib.div_ceil(1024);
        let size = match gb {
            0..=4 => 1,
            5..=10 => 2,
            11..=35 => 3,
            36..=100 => 4,
            _ => 5,
        };
        let amount = Some(hours(item.count).times(u64::from(gb)));
        let sku = match (replicas, size) {
            (0, 1) => "memorystore-basic-m1(1-4GB)".to_owned(),
            (0, 2) => "memorystore-basic-m2(5-10GB)".to_owned(),
            (0, 3) => "memorystore-basic-m3(11-35GB)".to_owned(),
            (1, _) => format!("memorystore-standard-ha-m{size}"),
            _ => {
                return vec![
                    Component::unpriced("Memorystore for Redis", "GB-hours", amount)
                        .noted("no price is known for this size with this many replicas"),
                ];
            }
        };
        vec![self.line(
            &item.place,
            format!("Memorystore for Redis, M{size}"),
            ("managed_redis", &sku),
            amount,
        )]
    }
}

/// RDS classes that meet the need, in all regions, with the standby in the price when one is wanted.
fn rds_offers(desk: &Desk<'_>, place: &Place, database: &Database) -> Vec<Offer> {
    let kind = if database.high_availability { "-multi-az" } else { "-single-az" };
    let fits = |class: &str, size: Option<Size>| match &database.class {
        Some(chosen) => chosen == class,
        None => size.is_some_and(|size| size.covers(database.size)),
    };
    let rows = desk.book.services(Provider::Aws, "managed_postgres").filter_map(|row| {
        let class = row.sku.strip_suffix(kind)?;
        let size =
            desk.book.machine(&Place::new(Provider::Aws, row.region), class).map(|machine| machine.size);
        let name =
            format!("PostgreSQL {class}{}", if database.high_availability { ", two zones" } else { "" });
        fits(class, size).then(|| Offer {
            name,
            region: row.region,
            price: desk.book.price_of(row),
            units: 1,
        })
    });
    let mut offers: Vec<Offer> = rows.collect();
    if !database.high_availability {
        let market = desk.book.market(place);
        let classes = market.into_iter().flat_map(|market| &market.machines);
        for machine in classes.filter(|machine| machine.name.starts_with("db.")) {
            let Some(machine) = desk.book.machine(place, machine.name) else { continue };
            let (Some(price), Some(market)) = (machine.on_demand, market) else { continue };
            if fits(machine.name, Some(machine.size)) {
                let name = format!("PostgreSQL {}", machine.name);
                offers.push(Offer { name, region: market.region, price, units: 1 });
            }
        }
    }
    offers
}

/// Azure's flexible servers that meet the need, in all regions. With a standby both servers are paid for.
fn flexible_server_offers(desk: &Desk<'_>, database: &Database) -> Vec<Offer> {
    let rows = desk.book.services(Provider::Azure, "managed_postgres").filter_map(|row| {
        let class = row.sku.strip_prefix("flex-")?.strip_suffix("-hour")?;
        let fits = match &database.class {
            Some(chosen) => chosen == class,
            // Burstable servers have no standby.
            None if database.high_availability && class.starts_with('B') => false,
            None => flexible_server_size(class)?.covers(database.size),
        };
        let units = if database.high_availability { 2 } else { 1 };
        let two = if database.high_availability { ", two zones" } else { "" };
        let name = format!("PostgreSQL flexible server {class}{two}");
        fits.then(|| Offer { name, region: row.region, price: desk.book.price_of(row), units })
    });
    rows.collect()
}

/// Azure names servers like its machines: `D` has 4 GiB for each processor, `E` 8.
fn flexible_server_size(class: &str) -> Option<Size> {
    match class {
        "B1ms" => return Some(Size::of(1, 2)),
        "B2ms" => return Some(Size::of(2, 8)),
        _ => {}
    }
    let (per_vcpu, rest) = match class.split_at_checked(1)? {
        ("D", rest) => (4, rest),
        ("E", rest) => (8, rest),
        _ => return None,
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let vcpu: u32 = rest.get(..digits)?.parse().ok()?;
    Some(Size::of(vcpu, vcpu.checked_mul(per_vcpu)?))
}

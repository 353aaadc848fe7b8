//! Names, keys and logs.

use super::component::Component;
use super::desk::{Desk, months};
use crate::item::Item;
use crate::money::Quantity;
use crate::table::Provider;

/// Requests to keys are sold by ten thousand.
const KEY_REQUESTS: i128 = 10_000;

impl Desk<'_> {
    pub(super) fn dns(
        &self,
        item: &Item,
        zones: u32,
        million_queries: Option<Quantity>,
        health_checks: u32,
    ) -> Vec<Component> {
        let place = &item.place;
        let line = |name: &str, sku: &str, amount| self.line(place, name, ("dns", sku), amount);
        let zones = Some(months(zones.saturating_mul(item.count)));
        let checks = Some(months(health_checks.saturating_mul(item.count)));
        let (zone, queries, check) = match place.provider {
            // The free plan has zones and any number of queries; health checks belong to load balancing.
            Provider::Cloudflare => {
                return vec![
                    line("DNS zone, free plan", "authoritative-dns-free-plan", zones),
                    Component::unpriced("health checks", "endpoint-months", checks),
                ];
            }
            Provider::Aws => ("zone-month", "standard-1M-queries", "health-check-aws-endpoint-month"),
            Provider::Azure | Provider::Gcp => ("zone-month", "1M-queries", ""),
            Provider::Oci => ("", "1M-queries", "health-check-basic-month"),
            Provider::Hetzner | Provider::Digitalocean => ("", "", ""),
        };
        vec![
            line("DNS zone", zone, zones),
            line("DNS queries", queries, million_queries).by_use(),
            line("health checks", check, checks),
        ]
    }

    pub(super) fn keys(&self, item: &Item, keys: u32, requests: Option<Quantity>) -> Vec<Component> {
        let place = &item.place;
        let keys = Some(months(keys.saturating_mul(item.count)));
        let line = |name: &str, sku: &str, amount| self.line(place, name, ("kms", sku), amount);
        match place.provider {
            Provider::Aws => {
                let tens = requests.map(|requests| Quantity::from_micros(requests.micros() / KEY_REQUESTS));
                vec![
                    line("encryption key", "key-month", keys),
                    line("requests to keys", "10k-requests", tens).by_use(),
                ]
            }
            Provider::Azure => vec![line("encryption key, hardware", "hsm-key-month", keys)],
            Provider::Gcp => vec![line("encryption key version", "key-version-month", keys)],
            _ => vec![Component::unpriced("encryption key", "months", keys)],
        }
    }

    pub(super) fn logs(
        &self,
        item: &Item,
        ingested_gb: Option<Quantity>,
        kept_gb: Option<Quantity>,
    ) -> Vec<Component> {
        let place = &item.place;
        let each = |gb: Option<Quantity>| gb.map(|gb| gb.times(u64::from(item.count)));
        let lines = match place.provider {
            Provider::Aws => vec![
                self.line(place, "logs taken in", ("logs", "ingest-gb"), each(ingested_gb)),
                self.line(place, "logs kept", ("logs", "archive-gb-month"), each(kept_gb)),
            ],
            _ => vec![
                Component::unpriced("logs taken in", "GB", each(ingested_gb)),
                Component::unpriced("logs kept", "GB", each(kept_gb)),
            ],
        };
        lines.into_iter().map(Component::by_use).collect()
    }
}

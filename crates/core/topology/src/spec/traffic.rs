//! `[traffic]`: names, weights, and what leaves.

use serde::{Deserialize, Serialize};
use univrs_model::name::Name;
use univrs_model::span::Span;

use super::reader::Reader;
use super::role::Selector;
use super::service::{HealthSpec, read_health};
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::Finding;

/// `dns`: the name under which the topology is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsSpec {
    /// Who serves the zone.
    pub provider: Cloud,
    /// The zone, such as `example.net`.
    pub zone: String,
    /// The name inside the zone; `@` is the zone itself.
    pub name: String,
    /// How long an answer may be kept.
    pub ttl: Span,
}

/// `egress`: gigabytes (10^9 bytes) a month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressSpec {
    /// To the internet.
    pub internet: Option<u64>,
    /// Between clouds.
    pub between_clouds: Option<u64>,
    /// Between regions of one cloud.
    pub between_regions: Option<u64>,
    /// Between zones of one region.
    pub between_zones: Option<u64>,
}

/// One `[[traffic.flow]]`: what two roles say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSpec {
    /// Role or service that sends.
    pub from: String,
    /// Role or service that receives.
    pub to: String,
    /// Gigabytes (10^9 bytes) a month, all senders together.
    pub gb_per_month: u64,
}

/// `[traffic]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrafficSpec {
    /// The name under which it is reached.
    pub dns: Option<DnsSpec>,
    /// Percent of the requests by cloud or region; sums to 100.
    pub weights: Vec<(Selector, u32)>,
    /// Whether places that are down get no requests.
    pub health_adjusted: bool,
    /// How the names' health checks ask; the load balancer's checks when absent.
    pub health: Option<HealthSpec>,
    /// What leaves in a month; absent when the file does not say.
    pub egress: Option<EgressSpec>,
    /// What roles say to each other.
    pub flows: Vec<FlowSpec>,
}

/// Reads `[traffic]`.
pub(super) fn read(reader: Reader<'_>) -> TrafficSpec {
    let dns = reader.table("dns").and_then(read_dns);
    let weights = reader.numbers("weights", 0..=100);
    let health_adjusted = reader.truth("health_adjusted").unwrap_or(false);
    let health = reader.table("health").map(read_health);
    let egress = reader.table("egress").map(|table| {
        let amount = |key| table.number(key, 0..=4_000_000_000).map(u64::from);
        let egress = EgressSpec {
            internet: amount("internet"),
            between_clouds: amount("between_clouds"),
            between_regions: amount("between_regions"),
            between_zones: amount("between_zones"),
        };
        table.finish();
        egress
    });
    let flows = reader.tables("flow").into_iter().filter_map(read_flow).collect();
    reader.finish();
    TrafficSpec { dns, weights, health_adjusted, health, egress, flows }
}

fn read_dns(reader: Reader<'_>) -> Option<DnsSpec> {
    for key in ["provider", "zone"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let provider = reader.parsed("provider");
    let zone = domain(&reader, "zone");
    let name = match reader.text("name").as_deref() {
        None | Some("@") => Some("@".to_owned()),
        Some(_) => domain(&reader, "name"),
    };
    let ttl = reader.parsed("ttl").unwrap_or(Span::seconds(60));
    reader.finish();
    Some(DnsSpec { provider: provider?, zone: zone?, name: name?, ttl })
}

/// A text made of DNS labels.
fn domain(reader: &Reader<'_>, key: &'static str) -> Option<String> {
    let (text, path) = reader.text_at(key)?;
    match text.split('.').find_map(|label| label.parse::<Name>().err()) {
        Some(error) => {
            reader.shared.note(Finding::new(Code::BadName, path, error.to_string()));
            None
        }
        None if text.len() > 253 => {
            reader.shared.note(Finding::new(Code::BadName, path, "a domain name has at most 253 characters"));
            None
        }
        None => Some(text),
    }
}

fn read_flow(reader: Reader<'_>) -> Option<FlowSpec> {
    for key in ["from", "to", "gb_per_month"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let (from, to) = (reader.text("from"), reader.text("to"));
    let amount = reader.number("gb_per_month", 0..=4_000_000_000);
    reader.finish();
    Some(FlowSpec { from: from?, to: to?, gb_per_month: amount?.into() })
}

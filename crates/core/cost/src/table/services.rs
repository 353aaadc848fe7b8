//! Prices of everything that is not a machine, and free allowances.

use std::collections::BTreeMap;

use super::compile::Origins;
use super::csv::{Row, rows};
use super::fault::{Fault, Reason};
use super::places::provider;
use super::row::{Allowance, Meter, Provider, Quote, Service};
use super::{PriceDate, decimal};

/// Products that cost nothing by the provider's own word. Any other zero is a fault, except the first step of a tier
/// (`… from 0`) and allowances.
const FREE: &[(Provider, &str)] = &[
    (Provider::Cloudflare, "authoritative-dns-free-plan"),
    (Provider::Cloudflare, "r2-egress-gb"),
    (Provider::Digitalocean, "vpc"),
    (Provider::Hetzner, "firewall"),
    (Provider::Hetzner, "network"),
    (Provider::Hetzner, "placement_group"),
];

/// A `free_tier` row: what a provider says is free, in words, with its date and source.
pub(super) struct Fact<'a> {
    provider: Provider,
    text: &'a str,
    date: PriceDate,
    source: &'a str,
}

pub(super) fn services<'a>(
    text: &'a str,
    origins: &mut Origins<'a>,
    faults: &mut Vec<Fault>,
) -> (Vec<Service<'a>>, Vec<Fact<'a>>) {
    let columns = "provider,region,service,sku,unit,usd,source,date";
    let mut facts = Vec::new();
    let mut found: BTreeMap<(Provider, &'a str, &'a str, &'a str), Found<'a>> = BTreeMap::new();
    for row in rows::<8>("services.csv", columns, text, faults) {
        let read = || read(&row);
        match read() {
            Ok(Found { service, date, source, .. }) if service.service == "free_tier" => {
                facts.push(Fact { provider: service.provider, text: service.sku, date, source });
            }
            Ok(new) => {
                let service = new.service;
                let key = (service.provider, service.service, service.sku, service.region);
                match found.get(&key) {
                    // Two sources that agree: the newer is kept.
                    Some(old) if old.same_price(&new) && old.date >= new.date => {}
                    Some(old) if !old.same_price(&new) => {
                        let key = format!("{}:{} {} {}", key.0, key.3, key.1, key.2);
                        faults.push(row.fault(Reason::Twice { key, first: old.line }));
                    }
                    _ => {
                        found.insert(key, new);
                    }
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    let services = found
        .into_values()
        .map(|mut found| {
            found.service.quote.origin = origins.id(found.date, found.source);
            found.service
        })
        .collect();
    (services, facts)
}

struct Found<'a> {
    service: Service<'a>,
    date: PriceDate,
    source: &'a str,
    line: usize,
}

impl Found<'_> {
    fn same_price(&self, other: &Self) -> bool {
        self.service.quote.nanos == other.service.quote.nanos && self.service.unit == other.service.unit
    }
}

fn read<'a>(row: &Row<'a, 8>) -> Result<Found<'a>, Fault> {
    let [owner, region, service, sku, unit, usd, source, date] = row.fields;
    let owner = provider(row, owner)?;
    let key = || format!("{owner}:{region} {service} {sku}");
    for (column, text) in [("region", region), ("service", service), ("sku", sku), ("unit", unit)] {
        if text.is_empty() {
            return Err(row.value(column, text, "empty"));
        }
    }
    if source.is_empty() {
        return Err(row.fault(Reason::Undated { key: key(), missing: "source" }));
    }
    if date.is_empty() {
        return Err(row.fault(Reason::Undated { key: key(), missing: "date" }));
    }
    let date = PriceDate::parse(date).ok_or_else(|| row.value("date", date, "not a date"))?;
    let nanos = decimal::parse(usd, 9).map_err(|why| row.value("usd", usd, why))?;
    let nanos = u64::try_from(nanos).map_err(|_| row.value("usd", usd, "below zero or too large"))?;
    let free = service == "free_tier" || sku.ends_with(" from 0") || FREE.contains(&(owner, sku));
    if nanos == 0 && !free {
        return Err(row.fault(Reason::Zero { key: key() }));
    }
    if unit == "fraction" && nanos >= 1_000_000_000 {
        return Err(row.value("usd", usd, "a fraction is below one"));
    }
    let quote = Quote { nanos, origin: 0 };
    let service = Service { provider: owner, service, sku, region, unit, quote };
    Ok(Found { service, date, source, line: row.line })
}

pub(super) fn allowances<'a>(
    text: &'a str,
    facts: &[Fact<'a>],
    origins: &mut Origins<'a>,
    faults: &mut Vec<Fault>,
) -> Vec<Allowance<'a>> {
    let columns = "provider,plan,meter,scope,regions,quantity,unit,from,until,note,fact";
    let mut allowances = Vec::new();
    for row in rows::<11>("allowances.csv", columns, text, faults) {
        match allowance(&row, facts, origins) {
            Ok(allowance) => allowances.push(allowance),
            Err(fault) => faults.push(fault),
        }
    }
    allowances
}

fn allowance<'a>(
    row: &Row<'a, 11>,
    facts: &[Fact<'a>],
    origins: &mut Origins<'a>,
) -> Result<Allowance<'a>, Fault> {
    let [owner, plan, meter, scope, regions, quantity, unit, from, until, note, begins] = row.fields;
    let owner = provider(row, owner)?;
    let (meter, of) = match meter {
        "machine" => (Meter::Machine, "hours"),
        "vcpu" => (Meter::Vcpu, "vCPU"),
        "memory" => (Meter::Memory, "GiB"),
        "disk" => (Meter::Disk, "GB"),
        "egress" => (Meter::Egress, "GB"),
        "egress-per-machine" => (Meter::EgressPerMachine, "GB"),
        "credit" => (Meter::Credit, "USD"),
        other => return Err(row.value("meter", other, "no such meter")),
    };
    if unit != of {
        return Err(row.value("unit", unit, format!("this meter counts {of}")));
    }
    let micros = decimal::parse(quantity, 6).map_err(|why| row.value("quantity", quantity, why))?;
    let micros = u64::try_from(micros)
        .ok()
        .filter(|micros| *micros > 0)
        .ok_or_else(|| row.value("quantity", quantity, "not above zero"))?;
    let day = |column: &'static str, text: &str| match text {
        "" => Ok(None),
        text => PriceDate::parse(text).map(Some).ok_or_else(|| row.value(column, text, "not a date")),
    };
    let (from, until) = (day("from", from)?, day("until", until)?);
    let no_fact = || row.fault(Reason::NoFact { provider: owner.name().to_owned(), fact: begins.to_owned() });
    let fact = facts
        .iter()
        .find(|fact| fact.provider == owner && !begins.is_empty() && fact.text.starts_with(begins))
        .ok_or_else(no_fact)?;
    let origin = origins.id(fact.date, fact.source);
    Ok(Allowance { provider: owner, plan, meter, scope, regions, micros, from, until, note, origin })
}

//! Regions and the measured round trips between them.

use std::collections::BTreeMap;

use super::csv::{Row, rows};
use super::decimal;
use super::fault::{Fault, Reason};
use super::row::{Provider, Region, RoundTrip};

pub(super) fn provider<const N: usize>(row: &Row<'_, N>, name: &str) -> Result<Provider, Fault> {
    Provider::named(name).ok_or_else(|| row.value("provider", name, "no such provider"))
}

pub(super) fn regions<'a>(text: &'a str, faults: &mut Vec<Fault>) -> Vec<Region<'a>> {
    let columns = "provider,region,city,country,lat,lon,zones";
    let mut found: BTreeMap<(Provider, &'a str), (usize, Region<'a>)> = BTreeMap::new();
    for row in rows::<7>("regions.csv", columns, text, faults) {
        match region(&row) {
            Ok(region) => {
                let key = (region.provider, region.name);
                if let Some((first, _)) = found.get(&key) {
                    let key = format!("{}:{}", region.provider, region.name);
                    faults.push(row.fault(Reason::Twice { key, first: *first }));
                } else {
                    found.insert(key, (row.line, region));
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    found.into_values().map(|(_, region)| region).collect()
}

fn region<'a>(row: &Row<'a, 7>) -> Result<Region<'a>, Fault> {
    let [owner, name, city, country, latitude, longitude, zones] = row.fields;
    let degrees = |column: &'static str, text: &str, most: i32| {
        // A hundred-millionth of a degree is a millimetre: the last digits are cut off.
        let value = decimal::parse(text, 12).map_err(|why| row.value(column, text, why))?;
        i32::try_from(value / 100_000)
            .ok()
            .filter(|value| value.unsigned_abs() <= most.unsigned_abs() * 10_000_000)
            .ok_or_else(|| row.value(column, text, "not on the globe"))
    };
    let zones = match zones {
        "" => None,
        text => Some(text.parse().map_err(|why| row.value("zones", text, why))?),
    };
    Ok(Region {
        provider: provider(row, owner)?,
        name,
        city,
        country,
        latitude: degrees("lat", latitude, 90)?,
        longitude: degrees("lon", longitude, 180)?,
        zones,
    })
}

/// Round trips that were measured; rows marked `ESTIMATE` are left to the formula. Of two measurements the later in
/// the file counts, which is how the file is written: newest last.
pub(super) fn round_trips<'a>(
    text: &'a str,
    regions: &[Region<'a>],
    faults: &mut Vec<Fault>,
) -> Vec<RoundTrip<'a>> {
    let mut found = BTreeMap::new();
    for row in rows::<4>("rtt.csv", "from,to,p50_ms,source", text, faults) {
        let [from, to, millis, source] = row.fields;
        let read = || -> Result<_, Fault> {
            let micros = decimal::parse(millis, 3).map_err(|why| row.value("p50_ms", millis, why))?;
            let micros = u32::try_from(micros)
                .ok()
                .filter(|micros| *micros > 0)
                .ok_or_else(|| row.value("p50_ms", millis, "not a time above zero"))?;
            if source.is_empty() {
                return Err(row.fault(Reason::Undated { key: format!("{from} to {to}"), missing: "source" }));
            }
            Ok(((index(&row, from, regions)?, index(&row, to, regions)?), micros))
        };
        match read() {
            Ok(_) if source.starts_with("ESTIMATE") => {}
            Ok((pair, micros)) => {
                found.insert(pair, (micros, source));
            }
            Err(fault) => faults.push(fault),
        }
    }
    found.into_iter().map(|((from, to), (micros, source))| RoundTrip { from, to, micros, source }).collect()
}

fn index(row: &Row<'_, 4>, place: &str, regions: &[Region<'_>]) -> Result<u16, Fault> {
    let unknown = || row.fault(Reason::NoRegion { region: place.to_owned() });
    let (owner, name) = place.split_once(':').ok_or_else(unknown)?;
    let owner = provider(row, owner)?;
    let index = regions.binary_search_by(|region| (region.provider, region.name).cmp(&(owner, name)));
    index.ok().and_then(|index| u16::try_from(index).ok()).ok_or_else(unknown)
}

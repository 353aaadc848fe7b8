//! Machine prices: unique, dated, above zero, and growing with the size of the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::{Origins, Sources};
use super::csv::{Row, rows};
use super::fault::{Fault, Reason};
use super::places::provider;
use super::row::{Arch, Machine, Market, Provider, Quote, Region};
use super::{PriceDate, decimal, family};

const FILE: &str = "prices.csv";
/// How far a price may leave its family's line, in hundredths: lists are rounded to few digits.
const TOLERANCE: u128 = 2;

/// One line of `dates.csv`.
struct Dated<'a> {
    provider: Provider,
    region: &'a str,
    prefix: &'a str,
    term: &'a str,
    date: PriceDate,
    source: &'a str,
}

/// What `irregular.csv` says about a family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The list price itself is not linear.
    Listed,
    /// Some rows carry the price of another operating system: they lose their on-demand price.
    MixedOs { then_linear: bool },
}

pub(super) fn markets<'a>(
    sources: &Sources<'a>,
    regions: &[Region<'a>],
    origins: &mut Origins<'a>,
    faults: &mut Vec<Fault>,
) -> Vec<Market<'a>> {
    let dates = dates(sources.dates, faults);
    let irregular = irregular(sources.irregular, faults);
    let known: BTreeSet<(Provider, &str)> = regions.iter().map(|r| (r.provider, r.name)).collect();
    let columns = "provider,region,instance_type,arch,vcpu,memory_gib,ondemand_usd_hour,spot_usd_hour";
    let mut lines: BTreeMap<(Provider, &'a str, &'a str), usize> = BTreeMap::new();
    let mut markets: BTreeMap<(Provider, &'a str), Vec<Machine<'a>>> = BTreeMap::new();
    for row in rows::<8>(FILE, columns, sources.prices, faults) {
        let owner = match provider(&row, row.fields[0]) {
            Ok(owner) => owner,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let (region, name) = (row.fields[1], row.fields[2]);
        if !known.contains(&(owner, region)) {
            faults.push(row.fault(Reason::NoRegion { region: format!("{owner}:{region}") }));
        }
        if let Some(first) = lines.insert((owner, region, name), row.line) {
            faults.push(row.fault(Reason::Twice { key: format!("{owner}:{region} {name}"), first }));
            continue;
        }
        match machine(&row, owner, &dates, origins) {
            Ok(machine) => markets.entry((owner, region)).or_default().push(machine),
            Err(fault) => faults.push(fault),
        }
    }
    let mut list = Vec::new();
    for ((provider, region), mut machines) in markets {
        let line = |name: &str| lines.get(&(provider, region, name)).copied().unwrap_or(0);
        check_families(provider, region, &mut machines, &irregular, line, faults);
        machines.sort_by_key(|machine| machine.name);
        list.push(Market { provider, region, machines });
    }
    list
}

fn machine<'a>(
    row: &Row<'a, 8>,
    owner: Provider,
    dates: &[Dated<'a>],
    origins: &mut Origins<'a>,
) -> Result<Machine<'a>, Fault> {
    let [_, region, name, arch, vcpu, memory, on_demand, spot] = row.fields;
    let key = || format!("{owner}:{region} {name}");
    if name.is_empty() {
        return Err(row.value("instance_type", name, "a machine has a name"));
    }
    let arch = match arch {
        "x86_64" => Arch::X86_64,
        "arm64" => Arch::Arm64,
        other => return Err(row.value("arch", other, "expected x86_64 or arm64")),
    };
    let size = |column: &'static str, text: &str, per: i128| {
        let value = decimal::parse(text, 6).map_err(|why| row.value(column, text, why))?;
        u32::try_from(value * per / 1_000_000)
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| row.value(column, text, "not a size above zero"))
    };
    let mut quote = |column: &'static str, text: &str, term: &str| -> Result<Option<Quote>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let nanos = decimal::parse(text, 9).map_err(|why| row.value(column, text, why))?;
        let nanos = u64::try_from(nanos).map_err(|_| row.value(column, text, "below zero or too large"))?;
        if nanos == 0 {
            return Err(row.fault(Reason::Zero { key: key() }));
        }
        let dated = dates
            .iter()
            .filter(|d| d.provider == owner && d.term == term && name.starts_with(d.prefix))
            .filter(|d| d.region == region || d.region == "*")
            .max_by_key(|d| (d.prefix.len(), d.region == region))
            .ok_or_else(|| row.fault(Reason::Undated { key: key(), missing: "date" }))?;
        Ok(Some(Quote { nanos, origin: origins.id(dated.date, dated.source) }))
    };
    let on_demand = quote("ondemand_usd_hour", on_demand, "on-demand")?;
    let spot = quote("spot_usd_hour", spot, "spot")?;
    if let (Some(list), Some(spot)) = (on_demand, spot)
        && spot.nanos >= list.nanos
    {
        return Err(row.fault(Reason::SpotAboveList { key: key() }));
    }
    let (milli_vcpu, mib) = (size("vcpu", vcpu, 1000)?, size("memory_gib", memory, 1024)?);
    Ok(Machine { name, arch, milli_vcpu, mib, on_demand, spot })
}

fn dates<'a>(text: &'a str, faults: &mut Vec<Fault>) -> Vec<Dated<'a>> {
    let mut dates = Vec::new();
    for row in rows::<6>("dates.csv", "provider,region,prefix,term,date,source", text, faults) {
        let [owner, region, prefix, term, date, source] = row.fields;
        let read = || -> Result<Dated<'a>, Fault> {
            if !["on-demand", "spot"].contains(&term) {
                return Err(row.value("term", term, "expected on-demand or spot"));
            }
            let key = format!("{owner}:{region} {prefix}*");
            if source.is_empty() {
                return Err(row.fault(Reason::Undated { key, missing: "source" }));
            }
            let date = PriceDate::parse(date).ok_or_else(|| row.value("date", date, "not a date"))?;
            Ok(Dated { provider: provider(&row, owner)?, region, prefix, term, date, source })
        };
        match read() {
            Ok(dated) => dates.push(dated),
            Err(fault) => faults.push(fault),
        }
    }
    dates
}

fn irregular<'a>(text: &'a str, faults: &mut Vec<Fault>) -> BTreeMap<(Provider, &'a str), Verdict> {
    let mut verdicts = BTreeMap::new();
    for row in rows::<4>("irregular.csv", "provider,family,verdict,reason", text, faults) {
        let [owner, family, verdict, reason] = row.fields;
        let read = || -> Result<(Provider, Verdict), Fault> {
            let verdict = match verdict {
                "listed" => Verdict::Listed,
                "mixed-os" => Verdict::MixedOs { then_linear: true },
                "mixed-os-listed" => Verdict::MixedOs { then_linear: false },
                other => {
                    return Err(row.value("verdict", other, "expected listed, mixed-os or mixed-os-listed"));
                }
            };
            if reason.is_empty() {
                return Err(row.value("reason", reason, "an exception has a reason"));
            }
            Ok((provider(&row, owner)?, verdict))
        };
        match read() {
            Ok((provider, verdict)) => {
                verdicts.insert((provider, family), verdict);
            }
            Err(fault) => faults.push(fault),
        }
    }
    verdicts
}

/// COST-4: within a family, from one size to the next, the price grows at least as the slower and at most as the
/// faster of processors and memory do.
fn check_families(
    provider: Provider,
    region: &str,
    machines: &mut [Machine<'_>],
    irregular: &BTreeMap<(Provider, &str), Verdict>,
    line: impl Fn(&str) -> usize,
    faults: &mut Vec<Fault>,
) {
    let mut families: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, machine) in machines.iter().enumerate() {
        families.entry(family(provider, machine.name)).or_default().push(index);
    }
    for (family, mut members) in families {
        match irregular.get(&(provider, family.as_str())) {
            Some(Verdict::Listed) => continue,
            Some(Verdict::MixedOs { then_linear }) => {
                withhold_other_systems(machines, &members);
                if !then_linear {
                    continue;
                }
            }
            None => {}
        }
        members.retain(|index| machines[*index].on_demand.is_some());
        members.sort_by_key(|index| {
            let machine = &machines[*index];
            (machine.milli_vcpu, machine.mib, machine.name)
        });
        for pair in members.windows(2) {
            let (smaller, larger) = (&machines[pair[0]], &machines[pair[1]]);
            if let Some([ratio, low, high]) = off_the_line(smaller, larger) {
                let reason = Reason::NotLinear {
                    smaller: format!("{provider}:{region} {}", smaller.name),
                    larger: larger.name.to_owned(),
                    ratio,
                    low,
                    high,
                };
                faults.push(Fault { file: FILE, line: line(larger.name), reason });
            }
        }
    }
}

/// The ratio of the prices and the bounds it leaves, in printable form; none when it keeps to them.
fn off_the_line(smaller: &Machine<'_>, larger: &Machine<'_>) -> Option<[String; 3]> {
    let (from, to) = (u128::from(smaller.on_demand?.nanos), u128::from(larger.on_demand?.nanos));
    let sizes = [(smaller.milli_vcpu, larger.milli_vcpu), (smaller.mib, larger.mib)]
        .map(|(from, to)| (u128::from(from), u128::from(to)));
    let above = sizes.iter().any(|(a, b)| to * a * 100 >= from * b * (100 - TOLERANCE));
    let below = sizes.iter().any(|(a, b)| to * a * 100 <= from * b * (100 + TOLERANCE));
    if above && below {
        return None;
    }
    let thousandths = |from: u128, to: u128| to * 1000 / from.max(1);
    let print = |ratio: u128| decimal::print(i128::try_from(ratio).unwrap_or(i128::MAX), 3);
    let ratios = sizes.map(|(a, b)| thousandths(a, b));
    Some([print(thousandths(from, to)), print(ratios[0].min(ratios[1])), print(ratios[0].max(ratios[1]))])
}

/// Spot prices were read from Linux meters alone. Where on-demand rows of another system are mixed in, the spot price
/// is a smaller part of them: only rows at the family's highest part keep their on-demand price.
fn withhold_other_systems(machines: &mut [Machine<'_>], members: &[usize]) {
    let part = |machine: &Machine<'_>| -> Option<u64> {
        let (list, spot) = (machine.on_demand?.nanos, machine.spot?.nanos);
        Some(spot.saturating_mul(1_000_000) / list)
    };
    let highest = members.iter().filter_map(|index| part(&machines[*index])).max();
    for index in members {
        let machine = &mut machines[*index];
        let linux =
            matches!((part(machine), highest), (Some(part), Some(highest)) if part * 100 >= highest * 98);
        if !linux {
            machine.on_demand = None;
        }
    }
}

//! From the CSV files to the checked book, or to every fault in them.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::row::{Origin, Tables};
use super::{PriceDate, machines, places, services};

/// The text of each file.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// `prices.csv`: machines.
    pub prices: &'a str,
    /// `dates.csv`: when and where the prices of machines were read.
    pub dates: &'a str,
    /// `irregular.csv`: families whose price does not follow their size, and why.
    pub irregular: &'a str,
    /// `services.csv`: everything that is not a machine.
    pub services: &'a str,
    /// `allowances.csv`: what is free, for whom and between which days.
    pub allowances: &'a str,
    /// `regions.csv`: where regions lie.
    pub regions: &'a str,
    /// `rtt.csv`: measured round trips.
    pub round_trips: &'a str,
}

/// The book of these files.
///
/// # Errors
///
/// Every [`Fault`] of every file, in the order of the files and lines.
pub fn compile<'a>(sources: &Sources<'a>) -> Result<Tables<'a>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut origins = Origins::default();
    let regions = places::regions(sources.regions, &mut faults);
    let markets = machines::markets(sources, &regions, &mut origins, &mut faults);
    let (services, facts) = services::services(sources.services, &mut origins, &mut faults);
    let allowances = services::allowances(sources.allowances, &facts, &mut origins, &mut faults);
    let round_trips = places::round_trips(sources.round_trips, &regions, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Tables { origins: origins.list, markets, services, allowances, regions, round_trips })
}

/// Dates and sources, each kept once.
#[derive(Default)]
pub(super) struct Origins<'a> {
    list: Vec<Origin<'a>>,
    index: BTreeMap<Origin<'a>, u16>,
}

impl<'a> Origins<'a> {
    pub(super) fn id(&mut self, date: PriceDate, source: &'a str) -> u16 {
        let origin = Origin { date, source };
        *self.index.entry(origin).or_insert_with(|| {
            let id = u16::try_from(self.list.len()).expect("far fewer sources than 65536");
            self.list.push(origin);
            id
        })
    }
}

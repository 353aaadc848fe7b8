//! Where components are made: looks prices up, takes discounts off, and collects notices.

use std::collections::{BTreeMap, BTreeSet};

use super::component::{Component, Gap, Notice, Severity};
use super::free::Allowances;
use super::{Missing, Options};
use crate::book::{Elsewhere, Price, PriceBook};
use crate::item::{Item, Kind};
use crate::money::{HOURS_PER_MONTH, Quantity, Ratio};
use crate::place::Place;
use crate::table::Provider;

pub(super) struct Desk<'a> {
    pub(super) book: &'a PriceBook,
    pub(super) options: &'a Options,
    pub(super) allowances: Allowances,
    /// How far an account has climbed a provider's steps that count over all regions, by name of the steps.
    pub(super) climbed: BTreeMap<(Provider, &'static str), Quantity>,
    notices: Vec<Notice>,
}

/// A step of a price that falls with the amount: how wide it is, and its price. The last has no end.
pub(super) struct Step {
    pub(super) width: Option<Quantity>,
    pub(super) sku: String,
    pub(super) label: &'static str,
}

impl<'a> Desk<'a> {
    pub(super) fn new(book: &'a PriceBook, options: &'a Options, items: &[Item]) -> Desk<'a> {
        let mut machines: BTreeMap<Provider, u64> = BTreeMap::new();
        for item in items.iter().filter(|item| matches!(item.kind, Kind::Machine(_))) {
            *machines.entry(item.place.provider).or_default() += u64::from(item.count);
        }
        let allowances = Allowances::new(book, options, &machines);
        let mut desk = Desk { book, options, allowances, climbed: BTreeMap::new(), notices: Vec::new() };
        desk.name_plans(items);
        desk
    }

    /// The price of a sku after the provider's discount, or where else it is known.
    pub(super) fn price(&self, place: &Place, service: &str, sku: &str) -> Result<Price, Option<Elsewhere>> {
        let unit = |price: Price| Price { unit: plain_unit(price.unit), ..price };
        match self.book.service(place, service, sku) {
            Some(price) => Ok(unit(self.discounted(place.provider, price))),
            None => Err(self
                .book
                .service_elsewhere(place.provider, service, sku)
                .map(|e| Elsewhere { price: unit(e.price), ..e })),
        }
    }

    pub(super) fn discounted(&self, provider: Provider, price: Price) -> Price {
        match self.options.discounts.get(&provider) {
            Some(paid) => price.at(price.amount.part(*paid)),
            None => price,
        }
    }

    /// A component of a sku. Without a price in this region it stays open, or takes another region's price when the
    /// options say so.
    pub(super) fn line(
        &self,
        place: &Place,
        name: impl Into<String>,
        (service, sku): (&str, &str),
        amount: Option<Quantity>,
    ) -> Component {
        let name = name.into();
        match self.price(place, service, sku) {
            Ok(price) => Component::priced(name, price, amount),
            Err(elsewhere) => self.priced_elsewhere(place.provider, name, elsewhere, amount),
        }
    }

    pub(super) fn priced_elsewhere(
        &self,
        provider: Provider,
        name: String,
        elsewhere: Option<Elsewhere>,
        amount: Option<Quantity>,
    ) -> Component {
        match (elsewhere, self.options.missing) {
            (Some(elsewhere), Missing::AssumeElsewhere) => {
                let price = self.discounted(provider, elsewhere.price);
                let component = Component::priced(name, price, amount);
                let gap = component.gap.unwrap_or(Gap::Assumed { region: elsewhere.region });
                Component { gap: Some(gap), ..component }
            }
            (elsewhere, _) => {
                let unit = elsewhere.map_or("months", |elsewhere| elsewhere.price.unit);
                let open = Component::unpriced(name, unit, amount);
                Component { gap: Some(Gap::Price { elsewhere }), ..open }
            }
        }
    }

    /// Components of a price that falls in steps, beginning at the height `from`.
    pub(super) fn climb(
        &self,
        place: &Place,
        name: &str,
        service: &str,
        steps: &[Step],
        from: Quantity,
        amount: Option<Quantity>,
    ) -> Vec<Component> {
        let titled = |step: &Step| match step.label {
            "" => name.to_owned(),
            label => format!("{name}, {label}"),
        };
        let Some(amount) = amount else {
            let first = steps.first().map(|step| self.line(place, titled(step), (service, &step.sku), None));
            return first.into_iter().collect();
        };
        let mut components = Vec::new();
        let (mut skip, mut left) = (from, amount);
        for step in steps {
            let room = step.width.map(|width| width.less(skip));
            skip = step.width.map_or(Quantity::ZERO, |width| skip.less(width));
            let here = room.map_or(left, |room| left.min(room));
            if here > Quantity::ZERO {
                components.push(self.line(place, titled(step), (service, &step.sku), Some(here)));
            }
            left = left.less(here);
        }
        components
    }

    pub(super) fn notice(
        &mut self,
        severity: Severity,
        code: &'static str,
        item: Option<&str>,
        message: String,
    ) {
        let item = item.map(str::to_owned);
        self.notices.push(Notice { severity, code, item, message });
    }

    /// Reports prices older than the options allow, once for each source.
    pub(super) fn judge_ages<'c>(&mut self, components: impl Iterator<Item = &'c Component>) {
        let Some(most) = self.options.max_price_age else { return };
        let mut old = BTreeSet::new();
        for price in components.filter_map(|component| component.price) {
            let age = price.origin.date.days_until(self.options.today);
            if age > i64::from(most) {
                old.insert((price.origin.date, price.origin.source, age));
            }
        }
        for (date, source, age) in old {
            let message = format!("prices of {date} are {age} days old, more than {most}: {source}");
            self.notice(Severity::Warning, "old-price", None, message);
        }
    }

    pub(super) fn into_notices(self) -> Vec<Notice> {
        self.notices
    }
}

/// All hours of the month for that many things.
pub(super) fn hours(count: u32) -> Quantity {
    Quantity::units(u64::from(HOURS_PER_MONTH) * u64::from(count))
}

/// That many things for a month.
pub(super) fn months(count: u32) -> Quantity {
    Quantity::units(u64::from(count))
}

/// Half of an amount of money's unit, and the like.
pub(super) fn fraction(of: Price, ratio: Ratio) -> Price {
    of.at(of.amount.part(ratio))
}

/// Oracle's list writes units its own way.
fn plain_unit(unit: &'static str) -> &'static str {
    match unit {
        "Gigabyte Storage Capacity Per Month" => "GB-month",
        "Gigabyte Outbound Data Transfer Per Month" => "GB",
        "Performance Units Per Gigabyte Per Month" => "VPU-GB-month",
        "Gigabyte Per Hour" | "Redis Memory Gigabyte per Hour" => "GB-hours",
        "OCPU Per Hour" => "OCPU-hours",
        "Mbps Per Hour" => "Mbps-hours",
        "Load Balancer" => "hours",
        "1,000,000 Queries" | "1,000,000 DNS Traffic Managment Queries" => "1M queries",
        "Endpoints Per Month" => "endpoint-months",
        other => other,
    }
}

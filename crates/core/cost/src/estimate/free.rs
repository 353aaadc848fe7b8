//! What an account has free each month, taken up in the order of the items.

use std::collections::BTreeMap;

use super::Options;
use super::component::{Component, Severity};
use super::desk::Desk;
use crate::book::{Price, PriceBook};
use crate::item::{Item, Kind};
use crate::money::{Money, Quantity};
use crate::place::Place;
use crate::table::{Allowance, Meter, Origin, Provider};

/// What is left of each allowance that holds on the day of the estimate.
pub(super) struct Allowances {
    left: Vec<(Allowance<'static>, Origin<'static>, Quantity)>,
}

/// A part of an amount that is free.
pub(super) struct Free {
    pub(super) amount: Quantity,
    pub(super) price: Origin<'static>,
    pub(super) note: &'static str,
}

impl Allowances {
    pub(super) fn new(book: &PriceBook, options: &Options, machines: &BTreeMap<Provider, u64>) -> Allowances {
        let meters =
            [Meter::Machine, Meter::Vcpu, Meter::Memory, Meter::Disk, Meter::Egress, Meter::EgressPerMachine];
        let mut left = Vec::new();
        for provider in Provider::ALL {
            let plan = options.plans.get(&provider).map(String::as_str);
            for meter in meters {
                for (allowance, origin) in book.allowances(provider, plan, meter, options.today) {
                    let one = Quantity::from_micros(i128::from(allowance.micros));
                    let times = match meter {
                        Meter::EgressPerMachine => machines.get(&provider).copied().unwrap_or(0),
                        _ => 1,
                    };
                    left.push((*allowance, origin, one.times(times)));
                }
            }
        }
        Allowances { left }
    }

    /// Takes up to `wanted` for `scope` in `place`: one part for each allowance that had some left.
    pub(super) fn take(&mut self, place: &Place, meter: Meter, scope: &str, wanted: Quantity) -> Vec<Free> {
        let mut parts = Vec::new();
        let mut wanted = wanted;
        for (allowance, origin, left) in &mut self.left {
            let amount = wanted.min(*left);
            if allowance.meter != meter || amount == Quantity::ZERO || !covers(allowance, place, scope) {
                continue;
            }
            *left = left.less(amount);
            wanted = wanted.less(amount);
            parts.push(Free { amount, price: *origin, note: allowance.note });
        }
        parts
    }

    /// Whether there is an allowance for this, used up or not.
    pub(super) fn exists(&self, place: &Place, meter: Meter, scope: &str) -> bool {
        self.left.iter().any(|(a, _, _)| a.meter == meter && covers(a, place, scope))
    }
}

fn covers(allowance: &Allowance<'_>, place: &Place, scope: &str) -> bool {
    let among = |list: &str, one: &str| list == "*" || list.split('|').any(|entry| entry == one);
    allowance.provider == place.provider
        && among(allowance.regions, &place.region)
        && among(allowance.scope, scope)
}

impl Free {
    /// The free part as a component that costs nothing, with the date of the allowance.
    pub(super) fn component(&self, name: &str, unit: &'static str, amount: Quantity) -> Component {
        let price = Price { amount: Money::ZERO, unit, origin: self.price };
        let component = Component::priced(format!("{name} (free allowance)"), price, Some(amount));
        if self.note.is_empty() { component } else { component.noted(self.note) }
    }
}

impl Desk<'_> {
    /// Says what the plans of the accounts give and what they no longer give, for the items that ask.
    pub(super) fn name_plans(&mut self, items: &[Item]) {
        for (provider, plan) in self.options.plans.clone() {
            if !items.iter().any(|item| item.place.provider == provider) {
                continue;
            }
            let known = self.book.plans(provider);
            if plan != "none" && !known.contains(&plan.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("{provider} has no free tier called `{plan}`; known: {known}");
                self.notice(Severity::Warning, "free-tier-unknown", None, message);
                continue;
            }
            let today = self.options.today;
            let credits: Vec<_> = self
                .book
                .allowances(provider, Some(plan.as_str()), Meter::Credit, today)
                .map(|(credit, origin)| (credit.note, origin.date))
                .collect();
            for (note, date) in credits {
                let message = format!("{provider}: {note} ({date}); the prices here are before credits");
                self.notice(Severity::Warning, "free-tier-credit", None, message);
            }
            self.name_ended(provider, &plan, items);
        }
    }

    fn name_ended(&mut self, provider: Provider, plan: &str, items: &[Item]) {
        let today = self.options.today;
        let ended = self.book.tables().allowances.iter().filter(|allowance| {
            allowance.provider == provider
                && allowance.plan == plan
                && allowance.until.is_some_and(|until| until < today)
        });
        let mut lines = Vec::new();
        for allowance in ended {
            let Some(until) = allowance.until else { continue };
            for item in items {
                let Kind::Machine(machine) = &item.kind else { continue };
                let concerned = covers(allowance, &item.place, &machine.type_name);
                // Where another allowance took its place, its own note says what changed.
                let replaced = self.allowances.exists(&item.place, allowance.meter, &machine.type_name);
                if concerned && !replaced {
                    let note = allowance.note;
                    let message = format!(
                        "{} of {provider} is no longer free, since {until}: {note}",
                        machine.type_name
                    );
                    lines.push((item.name.clone(), message));
                }
            }
        }
        for (item, message) in lines {
            self.notice(Severity::Warning, "free-tier-ended", Some(&item), message);
        }
    }

    /// Splits an amount into free parts, as components, and what has to be paid. Says so when not all of it is free.
    pub(super) fn free_parts(
        &mut self,
        item: &Item,
        (meter, scope): (Meter, &str),
        (name, unit): (&str, &'static str),
        wanted: Quantity,
    ) -> (Vec<Component>, Quantity) {
        let parts = self.allowances.take(&item.place, meter, scope, wanted);
        let mut paid = wanted;
        let mut components = Vec::new();
        for part in &parts {
            paid = paid.less(part.amount);
            components.push(part.component(name, unit, part.amount));
        }
        self.name_free(item, (meter, scope), (name, unit), wanted, &parts);
        (components, paid)
    }

    /// Says whether an amount fits its allowance.
    pub(super) fn name_free(
        &mut self,
        item: &Item,
        (meter, scope): (Meter, &str),
        (name, unit): (&str, &str),
        wanted: Quantity,
        parts: &[Free],
    ) {
        let free = parts.iter().fold(Quantity::ZERO, |sum, part| sum + part.amount);
        let dates = || parts.iter().map(|part| part.price.date.to_string()).collect::<Vec<_>>().join(", ");
        let said = parts.first().map_or("", |part| part.note);
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        if wanted > Quantity::ZERO && free >= wanted {
            let message = format!("{name}: all {wanted} {unit} are free ({}){said}", dates());
            self.notice(Severity::Fact, "free-tier-fits", Some(&item.name), message);
        } else if self.allowances.exists(&item.place, meter, scope) {
            let dates = if parts.is_empty() { "used up".to_owned() } else { dates() };
            let rest = wanted.less(free);
            let message =
                format!("{name}: {free} of {wanted} {unit} are free ({dates}), {rest} are priced{said}");
            self.notice(Severity::Warning, "free-tier-exceeded", Some(&item.name), message);
        }
    }
}

//! One group in one place: the cheapest type and the cheapest mix of purchases, exactly.

use super::{Group, Interruption, Rules};
use crate::book::{MachineType, Need, PriceBook, shares_processors};
use crate::estimate::{Options, quote};
use crate::item::{Purchase, Size, Term};
use crate::money::{HOURS_PER_MONTH, Money, Quantity, Ratio};
use crate::place::Place;

/// How the machines of a group are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mix {
    /// On demand.
    pub on_demand: u32,
    /// Promised, and for how long.
    pub reserved: u32,
    /// The term of the promised ones.
    pub term: Option<Term>,
    /// On the spot market.
    pub spot: u32,
}

/// A group in a place with a type and a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) machine: MachineType,
    pub(super) mix: Mix,
    /// Per month, with disks, without traffic.
    pub(super) cost: Money,
}

/// What one machine costs per month.
#[derive(Debug, Clone, Copy)]
struct Prices {
    on_demand: Money,
    reserved: Option<(Money, Term)>,
    spot: Option<Money>,
}

/// What does not depend on the type: looked up once for each group and place.
pub(super) struct Site<'a> {
    book: &'a PriceBook,
    options: &'a Options,
    group: &'a Group,
    place: &'a Place,
    /// All disks per month.
    disks: Money,
}

impl<'a> Site<'a> {
    /// None when the disks have no known price there.
    pub(super) fn new(
        book: &'a PriceBook,
        options: &'a Options,
        group: &'a Group,
        place: &'a Place,
    ) -> Option<Site<'a>> {
        let disks = match group.disk {
            Some(disk) => quote::disk(book, options, place, disk)?.times(machines(group.count)),
            None => Money::ZERO,
        };
        Some(Site { book, options, group, place, disks })
    }

    /// The cheapest type and mix. None when no type there has a known price.
    pub(super) fn best(&self, rules: &Rules, shelf: &Shelf) -> Option<Offer> {
        let stays = self.place == &self.group.place;
        let own = || self.book.machine_of(self.place, &self.group.type_name, self.group.size);
        let kept = own().filter(|_| stays || self.group.need.is_none());
        let fitting = self.group.need.into_iter().flat_map(|need| shelf.fitting(need));
        // Of equally cheap types the present one is kept, then the first by name.
        kept.and_then(|machine| self.with(machine, rules))
            .into_iter()
            .chain(fitting.map(|good| self.offer(good.machine, rules, good.prices)))
            .reduce(|best, next| if next.cost < best.cost { next } else { best })
    }

    /// The cheapest mix for a type.
    pub(super) fn with(&self, machine: MachineType, rules: &Rules) -> Option<Offer> {
        Some(self.offer(machine, rules, self.prices(machine, rules)?))
    }

    fn offer(&self, machine: MachineType, rules: &Rules, prices: Prices) -> Offer {
        let (mix, cost) = cheapest_mix(self.group, rules, prices);
        Offer { machine, mix, cost: cost + self.disks }
    }

    /// A type, all of it paid for in one way.
    pub(super) fn all(&self, machine: MachineType, purchase: Purchase) -> Option<Offer> {
        let term = match purchase {
            Purchase::Reserved(term) => Some(term),
            Purchase::OnDemand | Purchase::Spot => None,
        };
        let (count, steady) = (self.group.count, self.group.steady.min(self.group.count));
        let used = |price: Money| {
            price.times(machines(steady)) + price.part(self.group.busy).times(machines(count - steady))
        };
        let rules = Rules { longest_term: term, spot: true, search_limit: 0 };
        let prices = self.prices(machine, &rules);
        let (mix, cost) = match purchase {
            Purchase::OnDemand => {
                let mix = Mix { on_demand: count, ..Mix::default() };
                (mix, used(prices?.on_demand))
            }
            Purchase::Spot => {
                let spot = machine.spot.map(|price| self.counter().monthly(price.amount))?;
                (Mix { spot: count, ..Mix::default() }, used(spot))
            }
            Purchase::Reserved(term) => {
                let price = self.counter().reserved(machine, term)?;
                (Mix { reserved: count, term: Some(term), ..Mix::default() }, price.times(machines(count)))
            }
        };
        Some(Offer { machine, mix, cost: cost + self.disks })
    }

    /// The present type at list price on demand, without what the user was granted.
    pub(super) fn list(&self, machine: MachineType) -> Option<Money> {
        let (count, steady) = (self.group.count, self.group.steady.min(self.group.count));
        let price = hourly(machine.on_demand?.amount);
        let elastic = price.part(self.group.busy).times(machines(count - steady));
        Some(price.times(machines(steady)) + elastic + self.disks)
    }

    fn prices(&self, machine: MachineType, rules: &Rules) -> Option<Prices> {
        self.counter().prices(machine, rules)
    }

    fn counter(&self) -> Counter<'a> {
        Counter { book: self.book, options: self.options, place: self.place }
    }
}

/// Where prices per machine and month are made.
struct Counter<'a> {
    book: &'a PriceBook,
    options: &'a Options,
    place: &'a Place,
}

impl Counter<'_> {
    fn prices(&self, machine: MachineType, rules: &Rules) -> Option<Prices> {
        let terms = [Term::OneYear, Term::ThreeYears];
        let reserved = terms
            .into_iter()
            .filter(|term| rules.longest_term.is_some_and(|longest| *term <= longest))
            .filter_map(|term| Some((self.reserved(machine, term)?, term)))
            .min();
        let spot = machine.spot.filter(|_| rules.spot).map(|price| self.monthly(price.amount));
        Some(Prices { on_demand: self.on_demand(machine)?, reserved, spot })
    }

    fn on_demand(&self, machine: MachineType) -> Option<Money> {
        let kept = self
            .options
            .grandfathered
            .iter()
            .find(|kept| &kept.place == self.place && kept.type_name == machine.name);
        match kept {
            Some(kept) => Some(hourly(kept.per_hour)),
            None => Some(self.monthly(machine.on_demand?.amount)),
        }
    }

    fn reserved(&self, machine: MachineType, term: Term) -> Option<Money> {
        let known = self.book.commitment(self.place, machine.name, term)?;
        Some(self.monthly(machine.on_demand?.amount.part(known.discount.rest())))
    }

    fn monthly(&self, per_hour: Money) -> Money {
        let paid = self.options.discounts.get(&self.place.provider).copied().unwrap_or(Ratio::ONE);
        hourly(per_hour.part(paid))
    }
}

/// All types of a place with their prices, made once for all groups that may stand there.
#[derive(Default)]
pub(super) struct Shelf {
    goods: Vec<Good>,
}

struct Good {
    machine: MachineType,
    shared: bool,
    prices: Prices,
}

impl Shelf {
    pub(super) fn new(book: &PriceBook, options: &Options, rules: &Rules, place: &Place) -> Shelf {
        let counter = Counter { book, options, place };
        let any = Need { size: Size { milli_vcpu: 0, mib: 0 }, arch: None, shared: true };
        let goods = book.fitting(place, any).filter_map(|machine| {
            let shared = shares_processors(place.provider, machine.name);
            Some(Good { machine, shared, prices: counter.prices(machine, rules)? })
        });
        Shelf { goods: goods.collect() }
    }

    fn fitting(&self, need: Need) -> impl Iterator<Item = &Good> {
        self.goods
            .iter()
            .filter(move |good| good.machine.size.covers(need.size))
            .filter(move |good| need.arch.is_none_or(|arch| arch == good.machine.arch))
            .filter(move |good| need.shared || !good.shared)
    }
}

fn hourly(per_hour: Money) -> Money {
    per_hour.times(Quantity::units(u64::from(HOURS_PER_MONTH)))
}

pub(super) fn machines(count: u32) -> Quantity {
    Quantity::units(u64::from(count))
}

/// How many machines of a group may be on the spot market.
pub(super) fn most_spot(group: &Group, rules: &Rules) -> u32 {
    match group.interruption {
        _ if !rules.spot => 0,
        Interruption::Voter | Interruption::Never => 0,
        Interruption::Any => group.count,
        Interruption::Part(part) => {
            let whole = machines(group.count).part(part).micros() / 1_000_000;
            u32::try_from(whole).unwrap_or(0).min(group.count)
        }
    }
}

/// Machines that always run and those that run at times are each alike, so the choice between on demand and a promise
/// is the same for all of a kind, and the places on the spot market go where they save most.
fn cheapest_mix(group: &Group, rules: &Rules, prices: Prices) -> (Mix, Money) {
    let steady = group.steady.min(group.count);
    let mut spot_left = most_spot(group, rules);
    let kind = |count: u32, busy: Ratio| {
        let on_demand = prices.on_demand.part(busy);
        // A promise is paid for all hours.
        let reserved = prices.reserved.filter(|(price, _)| *price < on_demand);
        let usual = reserved.map_or(on_demand, |(price, _)| price);
        let spot = prices.spot.map(|price| price.part(busy)).filter(|price| *price < usual);
        (count, usual, reserved.map(|(_, term)| term), spot)
    };
    let mut kinds = [kind(steady, Ratio::ONE), kind(group.count - steady, group.busy)];
    kinds.sort_by_key(|(_, usual, _, spot)| std::cmp::Reverse(spot.map(|spot| *usual - spot)));
    let (mut mix, mut cost) = (Mix::default(), Money::ZERO);
    for (count, usual, term, spot) in kinds {
        let on_spot = spot.map_or(0, |_| count.min(spot_left));
        spot_left -= on_spot;
        mix.spot += on_spot;
        cost += spot.unwrap_or_default().times(machines(on_spot));
        let rest = count - on_spot;
        match term {
            Some(term) if rest > 0 => {
                mix.reserved += rest;
                mix.term = Some(term);
            }
            _ => mix.on_demand += rest,
        }
        cost += usual.times(machines(rest));
    }
    (mix, cost)
}

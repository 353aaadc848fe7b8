//! Machines: processors and memory by purchase, the disk, the address.

use super::component::{Component, Gap, Severity};
use super::desk::{Desk, fraction, hours};
use super::storage::disk_lines;
use crate::book::{Basis, FlexibleRates, MachineType, Price};
use crate::item::{Item, Machine, Purchase, Size, Term};
use crate::money::{HOURS_PER_MONTH, Quantity};
use crate::table::{Meter, Origin};

impl Desk<'_> {
    pub(super) fn machine(&mut self, item: &Item, machine: &Machine) -> Vec<Component> {
        let running = machine.hours.unwrap_or(Quantity::units(u64::from(HOURS_PER_MONTH)));
        let running = running.times(u64::from(item.count));
        let mut components = self.compute(item, machine, running);
        if let Some(disk) = machine.disk {
            let mut disks = disk_lines(self, &item.place, disk, item.count);
            self.free_disk(item, disk.class, &mut disks);
            components.extend(disks);
        }
        if machine.public_address {
            components.push(self.public_address(item));
        }
        components
    }

    pub(super) fn container_group(&mut self, item: &Item, size: Size) -> Vec<Component> {
        let (vcpu, gib) = crate::book::units(size);
        let of = |amount: Quantity| Some(amount.times(u64::from(HOURS_PER_MONTH) * u64::from(item.count)));
        vec![
            Component::unpriced("container group, processors", "vCPU-hours", of(vcpu)),
            Component::unpriced("container group, memory", "GiB-hours", of(gib)),
        ]
    }

    fn compute(&mut self, item: &Item, machine: &Machine, running: Quantity) -> Vec<Component> {
        let name = machine.type_name.as_str();
        let kept = self.options.grandfathered.iter().find(|g| g.place == item.place && g.type_name == name);
        if let (Some(kept), Purchase::OnDemand) = (kept, machine.purchase) {
            let origin = Origin { date: kept.date, source: "kept from before a rise, as the topology says" };
            let price = Price { amount: kept.per_hour, unit: "hours", origin };
            return vec![Component::priced(format!("{name}, kept price"), price, Some(running))];
        }
        let Some(found) = self.book.machine_of(&item.place, name, machine.size) else {
            return vec![self.unknown_type(item, name, running)];
        };
        match machine.purchase {
            Purchase::OnDemand => self.on_demand(item, &found, machine.size, running),
            Purchase::Spot => vec![self.spot(item, &found, running)],
            Purchase::Reserved(term) => vec![self.reserved(item, &found, term, machine, running)],
        }
    }

    fn on_demand(
        &mut self,
        item: &Item,
        found: &MachineType,
        size: Option<Size>,
        running: Quantity,
    ) -> Vec<Component> {
        if let Some(rates) = self.book.flexible(&item.place, found.name) {
            return self.flexible(item, found.name, &rates, size.unwrap_or(found.size));
        }
        let name = format!("{}, on demand", found.name);
        let (mut components, paid) =
            self.free_parts(item, (Meter::Machine, found.name), (&name, "hours"), running);
        components.push(match found.on_demand {
            Some(price) => {
                let price = self.discounted(item.place.provider, price);
                Component::priced(name, price, Some(paid))
            }
            None => Component::unpriced(name, "hours", Some(paid))
                .noted("the type is known, its price on demand is not or was withheld as doubtful"),
        });
        components
    }

    /// A shape of any size is sold by processors and memory, and what is free of it is counted in them.
    fn flexible(&mut self, item: &Item, name: &str, rates: &FlexibleRates, size: Size) -> Vec<Component> {
        let (vcpu, gib) = crate::book::units(size);
        let mut components = Vec::new();
        let parts = [
            (Meter::Vcpu, "processors", "vCPU", rates.vcpu, vcpu),
            (Meter::Memory, "memory", "GiB", rates.memory, gib),
        ];
        for (meter, what, counted, rate, each) in parts {
            let wanted = each.times(u64::from(item.count));
            let title = format!("{name}, {what}");
            let free = self.allowances.take(&item.place, meter, name, wanted);
            self.name_free(item, (meter, name), (&title, counted), wanted, &free);
            let mut paid = wanted;
            let all_month = |amount: Quantity| amount.times(u64::from(HOURS_PER_MONTH));
            for part in &free {
                paid = paid.less(part.amount);
                components.push(part.component(&title, rate.unit, all_month(part.amount)));
            }
            let price = self.discounted(item.place.provider, rate);
            components.push(Component::priced(title, price, Some(all_month(paid))));
        }
        components
    }

    fn spot(&self, item: &Item, found: &MachineType, running: Quantity) -> Component {
        let name = format!("{}, spot", found.name);
        match found.spot {
            Some(price) => {
                let price = self.discounted(item.place.provider, price);
                Component::priced(name, price, Some(running))
                    .noted("spot prices move; this one is of its date")
            }
            None => Component::unpriced(name, "hours", Some(running))
                .noted(format!("no spot price of this type is known in {}", item.place)),
        }
    }

    /// A promise is paid for all hours, used or not.
    fn reserved(
        &mut self,
        item: &Item,
        found: &MachineType,
        term: Term,
        machine: &Machine,
        running: Quantity,
    ) -> Component {
        let years = match term {
            Term::OneYear => "1 year",
            Term::ThreeYears => "3 years",
        };
        let name = format!("{}, {years} reserved", found.name);
        let all = hours(item.count);
        let known = self.book.commitment(&item.place, &machine.type_name, term);
        let (Some(list), Some(known)) = (found.on_demand, known) else {
            return Component::unpriced(name, "hours", Some(all))
                .noted("no discount for this term is known for this type");
        };
        if running < all {
            let message = "a reserved machine is paid for all hours, also those it does not run".to_owned();
            self.notice(Severity::Warning, "reserved-idle", Some(&item.name), message);
        }
        let origin = older(list.origin, known.origin);
        let price = Price { origin, ..fraction(list, known.discount.rest()) };
        let price = self.discounted(item.place.provider, price);
        let basis = match known.basis {
            Basis::Type => "published for this type",
            Basis::Family => "published for another size or region of the family",
            Basis::Provider => "assumed from another family of the provider",
        };
        let note = format!("{} % off list, {basis} ({})", known.discount.as_percent(), known.origin.date);
        Component::priced(name, price, Some(all)).noted(note)
    }

    fn unknown_type(&self, item: &Item, name: &str, running: Quantity) -> Component {
        let provider = item.place.provider;
        let open = Component::unpriced(name, "hours", Some(running));
        if self.book.sells(provider, name) {
            return open.noted(format!("the book has no price of this type in {}", item.place.region));
        }
        match self.book.near_types(provider, name, 3) {
            near if near.is_empty() => open.noted("the book does not know this type"),
            near => open.noted(format!("the book does not know this type; near it: {}", near.join(", "))),
        }
    }

    pub(super) fn public_address(&self, item: &Item) -> Component {
        use crate::table::Provider;
        let sku = match item.place.provider {
            Provider::Aws => "in-use-or-idle-hour",
            Provider::Azure => "standard-static-hour",
            Provider::Gcp => "in-use-vm-hour",
            Provider::Hetzner => "primary-ipv4-month",
            Provider::Oci | Provider::Digitalocean | Provider::Cloudflare => "",
        };
        let amount = match item.place.provider {
            Provider::Hetzner => Quantity::units(u64::from(item.count)),
            _ => hours(item.count),
        };
        let line = self.line(&item.place, "public IPv4 address", ("public_ipv4", sku), Some(amount));
        match line.gap {
            Some(Gap::Price { elsewhere: None }) => Component { unit: "hours", ..line },
            _ => line,
        }
    }
}

/// Of two origins a price rests on, the older: a price is as old as its oldest part.
fn older<'a>(a: Origin<'a>, b: Origin<'a>) -> Origin<'a> {
    if b.date < a.date { b } else { a }
}

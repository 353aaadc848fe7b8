//! What carries traffic: NAT, load balancers, VPN gateways, and the traffic out.

use super::component::{Component, Severity};
use super::desk::{Desk, Step, fraction, hours, months};
use crate::item::{Balancer, Destination, Item};
use crate::money::{Quantity, Ratio};
use crate::place::Place;
use crate::table::{Meter, Provider};

/// Machines from which Google charges the most for a NAT gateway.
const GCP_NAT_MACHINES: u32 = 32;
/// Tunnels that come with an Azure VPN gateway.
const AZURE_TUNNELS: u32 = 10;
/// The bandwidth Oracle's flexible load balancer has at least, in Mbps.
const OCI_BALANCER_MBPS: u32 = 10;

impl Desk<'_> {
    pub(super) fn nat(&self, item: &Item, machines: u32, gb: Option<Quantity>) -> Vec<Component> {
        let place = &item.place;
        let gateway = "NAT gateway";
        let all = Some(hours(item.count));
        let gateway = match place.provider {
            Provider::Aws | Provider::Azure => self.line(place, gateway, ("nat_gateway", "nat-hour"), all),
            Provider::Gcp => {
                // The list gives the most a gateway costs, at 32 machines; below that each machine is charged.
                let most = self.line(place, gateway, ("nat_gateway", "gateway-max-hour(32+ VMs)"), all);
                match most.price {
                    Some(price) if machines < GCP_NAT_MACHINES => {
                        let part = u64::from(machines) * 1_000_000_000 / u64::from(GCP_NAT_MACHINES);
                        Component::priced(gateway, fraction(price, Ratio::from_nanos(part)), all)
                            .noted(format!("for {machines} machines"))
                    }
                    _ => most,
                }
            }
            _ => Component::unpriced(gateway, "hours", all),
        };
        let data = match place.provider {
            Provider::Aws | Provider::Azure | Provider::Gcp => {
                self.line(place, "NAT gateway, data", ("nat_gateway", "nat-gb"), gb)
            }
            _ => Component::unpriced("NAT gateway, data", "GB", gb),
        };
        vec![gateway, data.by_use()]
    }

    pub(super) fn load_balancer(
        &mut self,
        item: &Item,
        kind: Balancer,
        gb: Option<Quantity>,
    ) -> Vec<Component> {
        let place = &item.place;
        let all = Some(hours(item.count));
        let line = |desk: &Self, name: &str, sku: &str, amount| {
            desk.line(place, name, ("load_balancer", sku), amount)
        };
        // A capacity unit carries 1 GB an hour (AWS) or 2.22 Mbit/s (Azure), which is nearly the same.
        let by_bytes = "by bytes alone; new connections and requests may need more";
        match (place.provider, kind) {
            (Provider::Aws, Balancer::Application) => vec![
                line(self, "application load balancer", "alb-hour", all),
                line(self, "load balancer capacity units", "alb-lcu-hour", gb).by_use().noted(by_bytes),
            ],
            (Provider::Aws, Balancer::Network) => vec![
                line(self, "network load balancer", "nlb-hour", all),
                line(self, "load balancer capacity units", "nlb-lcu-hour", gb).by_use().noted(by_bytes),
            ],
            (Provider::Azure, Balancer::Application) => vec![
                line(self, "application gateway, basic v2", "appgw-basic-v2-hour", all),
                line(self, "application gateway capacity units", "appgw-basic-v2-cu-hour", gb)
                    .by_use()
                    .noted(by_bytes),
            ],
            (Provider::Azure, Balancer::Network) => vec![
                line(self, "standard load balancer", "standard-lb-hour", all),
                line(self, "standard load balancer, data", "standard-lb-gb", gb).by_use(),
            ],
            (Provider::Gcp, Balancer::Application | Balancer::Network) => vec![
                line(self, "forwarding rule", "forwarding-rule-first5-hour", all),
                line(self, "load balancer, data", "outbound-gb", gb).by_use(),
            ],
            (Provider::Gcp, Balancer::Global) => vec![
                line(self, "global forwarding rule", "global-forwarding-rule-first5-hour", all),
                line(self, "load balancer, data", "outbound-gb", gb).by_use(),
            ],
            (Provider::Oci, Balancer::Application | Balancer::Network) => self.oci_balancer(item),
            (Provider::Hetzner, Balancer::Application | Balancer::Network) => {
                vec![line(self, "load balancer LB11", "lb11-month", Some(months(item.count)))]
            }
            (Provider::Digitalocean, Balancer::Application | Balancer::Network) => {
                vec![line(self, "regional load balancer", "regional-lb-node-month", Some(months(item.count)))]
            }
            (Provider::Cloudflare, Balancer::Global) => {
                let base = "lb-base-2-endpoints-month";
                vec![line(self, "load balancing, two endpoints", base, Some(months(item.count)))]
            }
            _ => vec![Component::unpriced("load balancer", "hours", all)],
        }
    }

    fn oci_balancer(&mut self, item: &Item) -> Vec<Component> {
        let step = |sku: &str, width: Option<u64>, label| Step {
            width: width.map(Quantity::units),
            sku: sku.to_owned(),
            label,
        };
        let base = [
            step("flexible-lb-hour from 0", Some(744), "first"),
            step("flexible-lb-hour from 744", None, "further"),
        ];
        let bandwidth = [
            step("flexible-lb-mbps-hour from 0", Some(7_440), "first 10 Mbps"),
            step("flexible-lb-mbps-hour from 7440", None, "further"),
        ];
        let amount = hours(item.count);
        let mbps = amount.times(u64::from(OCI_BALANCER_MBPS));
        let mut lines = self.climb_account(item, "flexible load balancer", "load_balancer", &base, amount);
        lines.extend(self.climb_account(item, "load balancer bandwidth", "load_balancer", &bandwidth, mbps));
        lines
    }

    /// Steps that count over all regions of an account.
    pub(super) fn climb_account(
        &mut self,
        item: &Item,
        name: &'static str,
        service: &str,
        steps: &[Step],
        amount: Quantity,
    ) -> Vec<Component> {
        let reached = self.climbed.entry((item.place.provider, name)).or_default();
        let from = *reached;
        *reached = from + amount;
        self.climb(&item.place, name, service, steps, from, Some(amount))
    }

    pub(super) fn vpn(&self, item: &Item, connections: u32) -> Vec<Component> {
        let place = &item.place;
        let each = Some(hours(connections.saturating_mul(item.count)));
        let line = |name: &str, sku: &str, amount| self.line(place, name, ("vpn_gateway", sku), amount);
        match place.provider {
            Provider::Aws => vec![line("site-to-site connection", "site-to-site-connection-hour", each)],
            Provider::Azure => {
                let beyond = connections.saturating_sub(AZURE_TUNNELS).saturating_mul(item.count);
                vec![
                    line("VPN gateway VpnGw1", "VpnGw1-hour", Some(hours(item.count))),
                    line("site-to-site tunnels beyond ten", "s2s-tunnel-hour", Some(hours(beyond))),
                ]
            }
            Provider::Gcp => vec![line("VPN tunnel", "tunnel-hour", each)],
            _ => vec![Component::unpriced("VPN gateway", "hours", each)],
        }
    }

    pub(super) fn egress(&mut self, item: &Item, to: &Destination, gb: Option<Quantity>) -> Vec<Component> {
        let gb = gb.map(|gb| gb.times(u64::from(item.count)));
        let lines = match to {
            Destination::Region(there) if there == &item.place => Vec::new(),
            Destination::Region(there) if there.provider == item.place.provider => {
                vec![self.between_regions(&item.place, there, gb)]
            }
            Destination::Internet | Destination::Region(_) => self.internet_lines(item, gb),
            Destination::Zone => vec![self.between_zones(&item.place, gb)],
        };
        lines.into_iter().map(Component::by_use).collect()
    }

    fn internet_lines(&mut self, item: &Item, gb: Option<Quantity>) -> Vec<Component> {
        let name = "traffic to the internet";
        let place = &item.place;
        let Some(wanted) = gb else {
            let steps = internet_steps(self, place);
            return self.climb(place, name, "egress", &steps, Quantity::ZERO, None);
        };
        let mut components = Vec::new();
        let mut paid = wanted;
        for meter in [Meter::EgressPerMachine, Meter::Egress] {
            for part in self.allowances.take(place, meter, "*", paid) {
                paid = paid.less(part.amount);
                components.push(part.component(name, "GB", part.amount));
            }
        }
        let steps = internet_steps(self, place);
        components.extend(match place.provider {
            // Oracle's first 10 TB are for the whole account; the others count each region by itself.
            Provider::Oci => self.climb_account(item, name, "egress", &steps, paid),
            _ => self.climb(place, name, "egress", &steps, Quantity::ZERO, Some(paid)),
        });
        if components.is_empty() && paid > Quantity::ZERO {
            components.push(Component::unpriced(name, "GB", Some(paid)));
        }
        components
    }

    pub(super) fn between_regions(&self, from: &Place, to: &Place, gb: Option<Quantity>) -> Component {
        let name = format!("traffic to {}", to.region);
        match from.provider {
            Provider::Aws => {
                let exact = format!("inter-region-to-{}", to.region);
                match self.price(from, "egress", &exact) {
                    Ok(price) => Component::priced(name, price, gb),
                    Err(_) => self.line(from, name, ("egress", "inter-region"), gb),
                }
            }
            Provider::Azure => self.line(from, name, ("vnet_peering", "global-peering-out-gb"), gb),
            _ => Component::unpriced(name, "GB", gb),
        }
    }

    fn between_zones(&self, place: &Place, gb: Option<Quantity>) -> Component {
        let name = "traffic between zones, both ways";
        match place.provider {
            // Charged where it leaves and where it arrives.
            Provider::Aws => {
                self.line(place, name, ("egress", "cross-az-each-way"), gb.map(|gb| gb.times(2)))
            }
            _ => Component::unpriced(name, "GB", gb),
        }
    }

    /// Says that no traffic is declared although machines talk over the internet or between regions.
    pub(super) fn name_missing_egress(&mut self, items: &[Item]) {
        let declared =
            items.iter().any(|item| matches!(item.kind, crate::item::Kind::Egress { gb: Some(_), .. }));
        let machines = items.iter().any(|item| matches!(item.kind, crate::item::Kind::Machine(_)));
        if machines && !declared {
            let message =
                "no traffic out is declared, so none is priced; it is often the largest part of the bill";
            self.notice(Severity::Warning, "egress-undeclared", None, message.to_owned());
        }
    }
}

/// The steps of the price of traffic to the internet. The free first part is an allowance, not a step, except
/// Oracle's, which the price list itself has.
pub(super) fn internet_steps(desk: &Desk<'_>, place: &Place) -> Vec<Step> {
    let steps = |widths: &[(&str, Option<u64>, &'static str)]| -> Vec<Step> {
        widths
            .iter()
            .map(|(sku, width, label)| Step {
                width: width.map(Quantity::units),
                sku: (*sku).to_owned(),
                label,
            })
            .collect()
    };
    match place.provider {
        Provider::Aws => {
            let listed = steps(&[
                ("internet-0-10TB", Some(10_240), "first 10 TB"),
                ("internet-10-50TB", Some(40_960), "next 40 TB"),
                ("internet-50-150TB", Some(102_400), "next 100 TB"),
                ("internet-150TB+", None, "beyond 150 TB"),
            ]);
            match desk.price(place, "egress", "internet-0-10TB") {
                Ok(_) => listed,
                Err(_) => steps(&[
                    ("internet-from-0GB", Some(10_240), "first 10 TB"),
                    ("internet-from-10240GB", Some(40_960), "next 40 TB"),
                    ("internet-from-51200GB", Some(102_400), "next 100 TB"),
                    ("internet-from-153600GB", None, "beyond 150 TB"),
                ]),
            }
        }
        Provider::Azure => steps(&[
            ("internet-from-100GB", Some(10_000), "next 10 TB"),
            ("internet-from-10100GB", Some(40_000), "next 40 TB"),
            ("internet-from-50100GB", Some(100_000), "next 100 TB"),
            ("internet-from-150100GB", None, "beyond 150 TB"),
        ]),
        Provider::Gcp => steps(&[
            ("premium-internet-0-1TB", Some(1_024), "first 1 TB"),
            ("premium-internet-1-10TB", Some(9_216), "next 9 TB"),
            ("premium-internet-10TB+", None, "beyond 10 TB"),
        ]),
        Provider::Oci => {
            let area = match place.region.split('-').next() {
                Some("us" | "ca" | "eu" | "uk") => "na-eu",
                Some("ap" | "sa") => "apac-japan-sa",
                _ => "mea",
            };
            vec![
                Step {
                    width: Some(Quantity::units(10_240)),
                    sku: format!("internet-{area}-gb from 0"),
                    label: "first 10 TB",
                },
                Step { width: None, sku: format!("internet-{area}-gb from 10240"), label: "beyond 10 TB" },
            ]
        }
        Provider::Hetzner => {
            steps(&[("overage-gb(EU; 20 TB incl. per server)", None, "beyond what is included")])
        }
        Provider::Digitalocean => {
            steps(&[("overage-gb (Droplets include 0.5-11 TB each)", None, "beyond what is included")])
        }
        Provider::Cloudflare => steps(&[("r2-egress-gb", None, "")]),
    }
}

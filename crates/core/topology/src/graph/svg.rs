//! The network as a map: a column for each cloud, an area for each region.

use std::collections::BTreeMap;

use super::picture::{Area, MOST_LINES, clouds, lines, link, title};
use crate::plan::Plan;

const WIDTH: usize = 330;
const GAP: usize = 70;
const TOP: usize = 130;
const LINE: usize = 18;

/// What is written in an area, with its class.
fn rows(area: &Area<'_>) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    rows.extend(area.gateway.as_ref().map(|gateway| ("gateway", format!("gateway {gateway}"))));
    rows.extend(area.load_balancers.iter().map(|name| ("balancer", format!("load balancer {name}"))));
    rows.extend(area.roles.iter().map(|role| ("role", role.clone())));
    if !area.services.is_empty() {
        let mut line = String::new();
        for service in &area.services {
            if !line.is_empty() && line.len() + service.len() > 34 {
                rows.push(("service", std::mem::take(&mut line)));
            }
            let comma = if line.is_empty() { "" } else { ", " };
            line = format!("{line}{comma}{service}");
        }
        rows.push(("service", line));
    }
    rows
}

/// The network as an SVG map.
pub fn svg(plan: &Plan) -> String {
    let clouds = clouds(plan);
    let (mut areas, mut lower) = (String::new(), TOP);
    // Where lines of the mesh, and those of names, arrive.
    let (mut gates, mut doors) = (BTreeMap::new(), Vec::new());
    for (column, (cloud, regions)) in clouds.iter().enumerate() {
        let x = GAP / 2 + column * (WIDTH + GAP);
        areas += &text(x + 4, TOP - 12, "cloud", cloud.as_str());
        let mut y = TOP;
        for (i, area) in regions {
            let rows = rows(area);
            let height = 44 + rows.len() * LINE;
            areas += &format!(
                "<rect class=\"area\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
            );
            let name = format!("{}  {}", area.region.name, area.region.cidr);
            areas += &text(x + 14, y + 24, "region", &name);
            gates.insert(*i, (column, x + WIDTH - 18, y + 18));
            if area.gateway.is_some() {
                areas += &format!(
                    "<circle class=\"gate\" cx=\"{}\" cy=\"{}\" r=\"7\"/>\n",
                    x + WIDTH - 18,
                    y + 18
                );
            }
            for (n, (class, line)) in rows.iter().enumerate() {
                areas += &text(x + 14, y + 46 + n * LINE, class, line);
            }
            doors.extend(area.weight.map(|weight| (x, y + 14, weight)));
            y += height + 36;
        }
        lower = lower.max(y);
    }
    let width = (GAP / 2 + clouds.len() * (WIDTH + GAP)).max(560);
    let mut ways = String::new();
    for line in lines(plan) {
        let (Some(one), Some(other)) = (gates.get(&line.ends.0), gates.get(&line.ends.1)) else { continue };
        let (one, other) = if one <= other { (one, other) } else { (other, one) };
        let class = if line.link.is_some() { "link" } else { "tunnel" };
        // Within a column the line swings out to the right, so that it does not run through the areas.
        let (bend_x, bend_y) = if one.0 == other.0 {
            (one.1 + GAP, (one.2 + other.2) / 2)
        } else {
            ((one.1 + other.1) / 2, (one.2 + other.2) / 2 - 10)
        };
        let what = line.link.map_or("wireguard", link);
        ways += &format!(
            "<path class=\"{class}\" d=\"M{} {} Q{bend_x} {bend_y} {} {}\"><title>{what}</title></path>\n",
            one.1, one.2, other.1, other.2
        );
    }
    let mut names = String::new();
    if let Some(dns) = &plan.dns {
        let middle = width / 2;
        for (x, y, weight) in doors {
            ways += &format!("<path class=\"dns\" d=\"M{middle} 84 V98 H{} V{y} H{x}\"/>\n", x - 14);
            names += &text(x - 30, y - 4, "weight", &format!("{weight}%"));
        }
        names += &format!(
            "<rect class=\"name\" x=\"{}\" y=\"56\" width=\"240\" height=\"28\" rx=\"14\"/>\n",
            middle - 120
        );
        let label = format!("{} ({}, ttl {})", dns.fqdn, dns.provider, dns.ttl);
        names += &format!("<text class=\"dnsname\" x=\"{middle}\" y=\"75\">{}</text>\n", escaped(&label));
    }
    let mut note = title(plan);
    if plan.tunnels.len() > MOST_LINES {
        note += " (too many tunnels to draw)";
    }
    let height = lower + 4;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{}</title>\n{STYLE}<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n{}{areas}{ways}{names}</svg>\n",
        escaped(&note),
        text(GAP / 2, 32, "title", &note)
    )
}

const STYLE: &str = "<style>\
text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-size:17px;font-weight:600}.cloud{font-size:15px;font-weight:600}\
.region{font-weight:600}.gateway{fill:#0b6b50}.balancer{fill:#8a4b08}.service{fill:#52606d}.weight{font-size:11px;fill:#8a4b08}\
.dnsname{text-anchor:middle;font-weight:600}.ground{fill:#fff}.area{fill:#f2f6fa;stroke:#9fb3c8}.name{fill:#fdf1e0;stroke:#c98a3a}\
.gate{fill:#0b6b50}.tunnel{fill:none;stroke:#0b6b50;stroke-opacity:.45;stroke-width:1.5}\
.link{fill:none;stroke:#3b5bdb;stroke-width:2;stroke-dasharray:6 4}.dns{fill:none;stroke:#c98a3a;stroke-width:1.5}\
</style>\n";

fn text(x: usize, y: usize, class: &str, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>\n", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! The network as a Mermaid flowchart, for Markdown.

use super::picture::{clouds, lines, link, title};
use crate::plan::Plan;

/// The network as a Mermaid flowchart.
pub fn mermaid(plan: &Plan) -> String {
    let mut out =
        vec!["---".to_owned(), format!("title: {}", title(plan)), "---".into(), "flowchart TB".into()];
    if let Some(dns) = &plan.dns {
        out.push(format!("  dns([\"{} (ttl {})\"])", text(&dns.fqdn), dns.ttl));
    }
    let mut arrows = Vec::new();
    for (cloud, areas) in clouds(plan) {
        out.push(format!("  subgraph {cloud}"));
        for (i, area) in &areas {
            let name = format!("{} {}", area.region.name, area.region.cidr);
            out.push(format!("    subgraph r{i}[\"{}\"]", text(&name)));
            if let Some(gateway) = &area.gateway {
                out.push(format!("      r{i}gw{{{{\"gateway {}\"}}}}", text(gateway)));
            }
            for (n, name) in area.load_balancers.iter().enumerate() {
                out.push(format!("      r{i}lb{n}[/\"{}\"\\]", text(name)));
            }
            for (n, role) in area.roles.iter().enumerate() {
                out.push(format!("      r{i}m{n}[\"{}\"]", text(role)));
            }
            for (n, service) in area.services.iter().enumerate() {
                out.push(format!("      r{i}s{n}[(\"{}\")]", text(service)));
            }
            out.push("    end".into());
            if let Some(weight) = area.weight {
                let target =
                    if area.load_balancers.is_empty() { format!("r{i}") } else { format!("r{i}lb0") };
                arrows.push(format!("  dns -- {weight}% --> {target}"));
            }
        }
        out.push("  end".into());
    }
    out.extend(arrows);
    for line in lines(plan) {
        let (a, b) = line.ends;
        out.push(match line.link {
            None => format!("  r{a}gw <-. wireguard .-> r{b}gw"),
            Some(kind) => format!("  r{a} <== {} ==> r{b}", link(kind)),
        });
    }
    out.join("\n") + "\n"
}

/// A label between quotation marks.
fn text(label: &str) -> String {
    label.replace('"', "#quot;")
}

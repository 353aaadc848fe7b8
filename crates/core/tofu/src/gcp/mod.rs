//! Google Cloud.

mod balancer;
mod machines;
mod network;
mod services;

use std::collections::BTreeMap;

use univrs_topology::plan::Machine;

use crate::emission::Gaps;
use crate::seeds;
use crate::site::Site;
use crate::tf::{Expr, Object, ProviderPin, Ref, Root, Value, Variable, key};

const PIN: ProviderPin = ProviderPin { name: "google", source: "hashicorp/google", version: "6.50.0" };

/// Emits one region.
pub(crate) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    configure(root, &site.region.name, site.region.account.as_deref());
    network::emit(site, root, gaps);
    services::emit(site, root, gaps);
    balancer::emit(site, root);
    machines::emit(site, root, gaps);
    outputs(site, root);
}

/// Requires the provider for a region.
pub(crate) fn configure(root: &mut Root, region: &str, project: Option<&str>) {
    let project = root.variable(
        "google_project",
        Variable {
            description: "The Google Cloud project everything lies in.",
            default: project.map(Value::from),
            ..Variable::default()
        },
    );
    root.provider(PIN, Object::new().set("project", project).set("region", region));
}

fn project() -> Expr {
    Expr::var("google_project")
}

/// Tags as Google's labels: lower case, digits, `-` and `_`, at most 63 characters, keys beginning with a letter.
fn labels(tags: &BTreeMap<String, String>) -> Value {
    let clean = |text: &str| -> String {
        let kept = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c.to_ascii_lowercase() } else { '-' }
        };
        text.chars().map(kept).take(63).collect()
    };
    Value::map(tags.iter().map(|(key, value)| {
        let key = clean(key);
        let key =
            if key.starts_with(|first: char| first.is_ascii_lowercase()) { key } else { format!("t{key}") };
        (key.chars().take(63).collect::<String>(), clean(value))
    }))
}

fn outputs(site: Site<'_>, root: &mut Root) {
    let network = Ref::to("google_compute_network", "main");
    root.output("network_id", "The region's network.", network.id());
    root.output("network_name", "Its name.", network.attr("name"));
    let address =
        |machine: &Machine| Some(Ref::to("google_compute_address", key(&machine.name)).attr("address"));
    seeds::publish(site, root, address);
    seeds::stated_outputs(site, root, address);
    crate::names::publish(
        site,
        root,
        |balancer| Some(Ref::to("google_compute_address", balancer::key_of(balancer)).attr("address")),
        address,
    );
}

//! An inventory for Ansible and for people: every machine with what is known of it before it exists.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use univrs_topology::plan::Plan;

use crate::site::{Site, root_of};

/// The inventory as YAML. Strings are written as JSON, which YAML contains.
pub(crate) fn inventory(plan: &Plan) -> Vec<u8> {
    let mut text = String::from(
        "# Machines with a place of their own. Members of autoscaled groups come and go and are not listed.\n\
         # Public addresses are known once the machines exist: `tofu output addresses` in the region's folder.\n",
    );
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut hosts = String::new();
    for region in &plan.regions {
        let site = Site { plan, region };
        for machine in region.machines.iter().filter(|machine| site.stands(machine)) {
            for group in [
                format!("cloud_{}", region.cloud),
                format!("region_{}", crate::tf::key(&root_of(&region.id))),
                format!("role_{}", crate::tf::key(machine.role.as_str())),
            ] {
                groups.entry(group).or_default().push(&machine.name);
            }
            let address = machine.dns_name.clone().unwrap_or_else(|| machine.address.to_string());
            // Writing to a string cannot fail.
            let _ = write!(
                hosts,
                "    {}:\n      ansible_host: {}\n      private_address: {}\n      cloud: {}\n      region: {}\n      zone: {}\n      role: {}\n      boot_order: {}\n",
                quoted(&machine.name),
                quoted(&address),
                quoted(&machine.address.to_string()),
                quoted(region.cloud.as_str()),
                quoted(&region.name),
                quoted(&machine.zone),
                quoted(machine.role.as_str()),
                machine.boot_order,
            );
        }
    }
    let _ = write!(text, "all:\n  vars:\n    topology: {}\n", quoted(&plan.id));
    if hosts.is_empty() {
        text.push_str("  hosts: {}\n");
        return text.into_bytes();
    }
    let _ = write!(text, "  hosts:\n{hosts}  children:\n");
    for (group, members) in groups {
        let _ = write!(text, "    {group}:\n      hosts:\n");
        for member in members {
            let _ = writeln!(text, "        {}: {{}}", quoted(member));
        }
    }
    text.into_bytes()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

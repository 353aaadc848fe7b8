//! The `README.md` beside the roots: in which order, with which values, and what is not in the files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use univrs_topology::cloud::Cloud;
use univrs_topology::plan::{Machine, Plan};

use crate::emission::Gap;
use crate::emit::Options;
use crate::seeds::first_region;
use crate::site::root_of;
use crate::tf::Backend;

/// The text.
pub(crate) fn readme(plan: &Plan, roots: &[String], options: &Options, gaps: &[Gap]) -> Vec<u8> {
    let mut text = format!(
        "# {}\n\nMade by `univrs topology emit` from the topology `{}`, environment `{}`. Edit the topology, not these files.\n",
        plan.id, plan.topology, plan.environment
    );
    text.push_str("\n## Order\n\nEach folder is a root of its own.\n\n");
    let first = first_region(plan).map(root_of).filter(|_| joins(plan));
    let (shared, regions): (Vec<&String>, Vec<&String>) =
        roots.iter().partition(|root| ["dns", "links"].contains(&root.as_str()));
    let others: Vec<&String> = regions.into_iter().filter(|root| Some(*root) != first.as_ref()).collect();
    let mut step = 1;
    // Writing to a string cannot fail.
    let mut line = |words: String| {
        let _ = writeln!(text, "{step}. {words}");
        step += 1;
    };
    if let Some(first) = &first {
        let target = plan.machines().find(|machine| machine.bootstrap).map(address).unwrap_or_default();
        line(format!(
            "In `{first}`, only the machine that starts the cluster: `tofu init`, then `tofu apply -target={target}`. Give any text as `join_token` and `ca_sha256`: no machine exists yet that reads them."
        ));
        line("On that machine: `univrs join-token create`. It prints the token and the digest of the certificate authority.".to_owned());
        line(format!(
            "`{first}` again, whole, with `TF_VAR_join_token` and `TF_VAR_ca_sha256` set to those."
        ));
    }
    if !others.is_empty() {
        line(format!("In any order: {}.", listed(&others)));
    }
    if !shared.is_empty() {
        line(format!("Last: {}.", listed(&shared)));
    }
    text.push_str(
        "\nTo take everything down, run `tofu destroy` in the opposite order. Buckets must be empty.\n",
    );
    text.push_str(&state(options.backend));
    text.push_str("\nAfter `tofu init`, keep `.terraform.lock.hcl` of every root beside these files: it pins what was downloaded.\n");
    text.push_str("\n## Not in these files\n\n");
    if gaps.is_empty() {
        text.push_str("Nothing the topology states is left out.\n");
    }
    let mut by_place: BTreeMap<&str, Vec<&Gap>> = BTreeMap::new();
    for gap in gaps {
        by_place.entry(if gap.region == "*" { "everywhere" } else { &gap.region }).or_default().push(gap);
    }
    for (place, gaps) in by_place {
        for gap in gaps {
            let _ = writeln!(text, "- {place}, `{}`: {}. Instead: {}.", gap.what, gap.why, gap.hint);
        }
    }
    text.into_bytes()
}

/// Address of a machine's resource.
fn address(machine: &Machine) -> String {
    let kind = match machine.region.cloud {
        Cloud::Aws => "aws_instance",
        Cloud::Azure => "azurerm_linux_virtual_machine",
        Cloud::Gcp => "google_compute_instance",
        Cloud::Oci => "oci_core_instance",
        Cloud::Hetzner => "hcloud_server",
        Cloud::DigitalOcean | Cloud::Cloudflare => "digitalocean_droplet",
    };
    format!("{kind}.{}", crate::tf::key(&machine.name))
}

fn joins(plan: &Plan) -> bool {
    plan.regions.iter().flat_map(|region| &region.groups).any(|group| group.join.is_some())
}

fn listed(roots: &[&String]) -> String {
    roots.iter().map(|root| format!("`{root}`")).collect::<Vec<_>>().join(", ")
}

fn state(backend: Backend) -> String {
    let kept = match backend {
        Backend::Local => {
            return "\n## State\n\nIt is kept in the folder `state` beside the roots. It holds secrets: keep it to yourselves.\n"
                .to_owned();
        }
        Backend::S3 => "bucket, region",
        Backend::Azurerm => "storage_account_name, container_name, resource_group_name",
        Backend::Gcs => "bucket",
    };
    format!(
        "\n## State\n\nIt is kept under `{}`. Give its settings ({kept}) to every root twice: to `tofu init` with `-backend-config`, and as the map `TF_VAR_state_config`.\n",
        backend.as_str()
    )
}

//! The whole way from a plan to files.

use std::collections::BTreeMap;

use univrs_topology::cloud::Cloud;
use univrs_topology::plan::Plan;

use crate::emission::{Emission, EmitError, Gaps};
use crate::site::{Site, mesh_document, root_of};
use crate::tf::{Backend, Root, written};
use crate::{
    aws, azure, digitalocean, gcp, hetzner, inventory, links, names, oci, readme, undone, wireguard,
};

/// What the plan does not say and emission needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the state of the roots lies.
    pub backend: Backend,
}

/// Emits a plan.
///
/// Every region has a root in the folder `cloud-region`; what is shared lies in `dns`, `links` and `shared`.
///
/// # Errors
/// Something in the plan is not decided, such as a machine type, or has no counterpart at its provider. All of it is
/// named, and no file is given back.
pub fn emit(plan: &Plan, options: &Options) -> Result<Emission, EmitError> {
    let mut gaps = Gaps::default();
    let mut roots = Vec::new();
    for region in &plan.regions {
        let site = Site { plan, region };
        let mut root = Root::new(root_of(&region.id), options.backend);
        let provider = match region.cloud {
            Cloud::Aws => aws::emit,
            Cloud::Azure => azure::emit,
            Cloud::Gcp => gcp::emit,
            Cloud::Oci => oci::emit,
            Cloud::Hetzner => hetzner::emit,
            Cloud::DigitalOcean => digitalocean::emit,
            // It has names only: the plan has no regions of it.
            Cloud::Cloudflare => continue,
        };
        provider(site, &mut root, &mut gaps);
        roots.push(root);
    }
    roots.extend(names::emit(plan, options.backend, &mut gaps));
    roots.extend(links::emit(plan, options.backend, &mut gaps));
    undone::note(plan, &mut gaps);
    let gaps = gaps.settle()?;
    let mut files = BTreeMap::new();
    let order: Vec<String> = roots.iter().map(|root| root.name().to_owned()).collect();
    for root in roots {
        let folder = root.name().to_owned();
        files.extend(root.files().into_iter().map(|(file, bytes)| (format!("{folder}/{file}"), bytes)));
    }
    files.insert("shared/mesh.json".to_owned(), written(&mesh_document(plan)));
    files.extend(wireguard::files(plan));
    files.insert("inventory.yaml".to_owned(), inventory::inventory(plan));
    files.insert("README.md".to_owned(), readme::readme(plan, &order, options, &gaps));
    Ok(Emission { files, gaps })
}

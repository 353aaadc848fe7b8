//! `univrs ps`: the instances of one workload, or of all.

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use univrs_model::rollout::WorkloadView;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::{Listing, whole};
use crate::show;

/// How many workloads are asked about at once.
const AT_ONCE: usize = 8;

/// List instances.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Only instances of this workload
    workload: Option<String>,
}

impl PsArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        if let Some(name) = self.workload {
            let listing = whole(None, async |page| context.client.instances(&name, &page).await).await?;
            let body = listing.body.clone();
            show::instances(&listing.decode()?).print(context, &body)?;
            return Ok(Exit::Ok);
        }
        let listing = whole(None, async |page| context.client.workloads(&page).await).await?;
        let views: Vec<WorkloadView> = listing.decode()?;
        let client = &context.client;
        let lists: Vec<Listing> = futures::stream::iter(views)
            .map(async |view| {
                let name = view.name.as_str();
                whole(None, async |page| client.instances(name, &page).await).await
            })
            .buffered(AT_ONCE)
            // One that was removed between the two questions has no instances.
            .filter(|list| {
                let gone = matches!(list, Err(Fault::Api(error)) if error.is_not_found());
                std::future::ready(!gone)
            })
            .try_collect()
            .await?;
        let revision = lists.iter().map(|list| list.revision).max().unwrap_or(0);
        let mut items: Vec<Value> = Vec::new();
        for list in lists {
            items.extend(list.decode::<Value>()?);
        }
        let body = serde_json::json!({"items": items, "revision": revision});
        let odd =
            |error: serde_json::Error| Fault::failed(format!("an instance cannot be read: {error}"), None);
        let instances = serde_json::from_value::<Vec<_>>(Value::Array(items)).map_err(odd)?;
        show::instances(&instances).print(context, body.to_string().as_bytes())?;
        Ok(Exit::Ok)
    }
}

//! Removes the volumes that nobody wants any more. Making them is part of preparing an instance.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use univrs_model::ids::NodeId;
use univrs_model::volume::Volume;
use univrs_ports::control_plane::ControlPlane;
use univrs_ports::volumes::Volumes;

/// Pause before a removal that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Follows what is to be removed, for as long as it is polled.
pub(crate) async fn remove_unwanted(node: NodeId, control: Arc<dyn ControlPlane>, volumes: Arc<dyn Volumes>) {
    let mut unwanted = control.unwanted_volumes(&node);
    while let Some(unwanted_now) = unwanted.next().await {
        for volume in unwanted_now {
            while let Err(reason) = remove(&node, &*control, &*volumes, &volume).await {
                tracing::warn!(volume = %volume.id, reason, "a volume could not be removed; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn remove(
    node: &NodeId,
    control: &dyn ControlPlane,
    volumes: &dyn Volumes,
    volume: &Volume,
) -> Result<(), String> {
    volumes.remove(&volume.path()).await.map_err(|error| error.to_string())?;
    control.volume_removed(node, volume).await.map_err(|error| error.to_string())
}

//! Removes the volumes that nobody wants any more. Making them is part of preparing an instance.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use univrs_model::ids::NodeId;
use univrs_model::volume::Volume;
use univrs_ports::control_plane::ControlPlane;

/// Pause before a removal that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Follows what is to be removed, for as long as it is polled.
pub(crate) async fn remove_unwanted(node: NodeId, control: Arc<dyn ControlPlane>, dir: std::path::PathBuf) {
    let mut unwanted = control.unwanted_volumes(&node);
    while let Some(volumes) = unwanted.next().await {
        for volume in volumes {
            while let Err(reason) = remove(&node, &*control, &dir, &volume).await {
                tracing::warn!(volume = %volume.id, reason, "a volume could not be removed; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn remove(
    node: &NodeId,
    control: &dyn ControlPlane,
    dir: &Path,
    volume: &Volume,
) -> Result<(), String> {
    let path = dir.join(volume.path());
    let root = dir.to_owned();
    let removal = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("failed to remove {}: {error}", path.display()))
        }
        _ => {
            // The directories around it go with the last volume in them; one that is not empty stays.
            for around in path.ancestors().skip(1).take_while(|around| *around != root) {
                if std::fs::remove_dir(around).is_err() {
                    break;
                }
            }
            Ok(())
        }
    });
    removal.await.map_err(|error| error.to_string())??;
    control.volume_removed(node, volume).await.map_err(|error| error.to_string())
}

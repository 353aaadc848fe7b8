//! Images for the simulated runtime: every reference exists, has no content, and is here at once; but those that
//! begin with `sim/absent` do not exist, so that a missing image can be rehearsed.

use async_trait::async_trait;
use univrs_ports::images::{ImageConfig, ImageError, ImageSummary, Images, PreparedImage, PullPolicy};

use crate::Digest;

/// What references of images begin with that do not exist.
const ABSENT: &str = "sim/absent";

/// Images without content, for nodes that run nothing real.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulatedImages;

#[async_trait]
impl Images for SimulatedImages {
    async fn prepare(&self, reference: &str, _policy: PullPolicy) -> Result<PreparedImage, ImageError> {
        if reference.starts_with(ABSENT) {
            let place = "among the simulated images".to_owned();
            return Err(ImageError::NotFound { reference: reference.to_owned(), place });
        }
        let config = ImageConfig { entrypoint: vec!["/simulated".to_owned()], ..ImageConfig::default() };
        Ok(PreparedImage {
            reference: reference.to_owned(),
            digest: Digest::of(reference.as_bytes()).as_str().to_owned(),
            layers: Vec::new(),
            config,
            fetched: false,
        })
    }

    async fn is_here(&self, _reference: &str) -> Result<bool, ImageError> {
        Ok(true)
    }

    async fn list(&self) -> Result<Vec<ImageSummary>, ImageError> {
        Ok(Vec::new())
    }

    async fn remove(&self, _reference: &str) -> Result<(), ImageError> {
        Ok(())
    }

    async fn collect_garbage(&self, _digests_in_use: &[String]) -> Result<u64, ImageError> {
        Ok(0)
    }
}

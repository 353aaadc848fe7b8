//! A provider as one resource sees it: only in the place where the resource was made.
//!
//! Several machines may each have an engine that is called by the same provider's id, and any of them may lead. Asked in
//! the wrong place, a provider would find nothing there and call the resource removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use univrs_ports::provider::{
    JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, ResourceUse, Standing,
};

/// A provider that does nothing elsewhere.
pub(super) struct Placed {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) place: String,
}

impl Placed {
    async fn here(&self) -> Result<&dyn Provider, ProviderError> {
        let here = self.provider.place().await?;
        if here == self.place {
            return Ok(&*self.provider);
        }
        Err(ProviderError::temporary(format!(
            "it is in {} {}, and the node that leads now has {here}; it can be changed when that node leads",
            self.provider.id(),
            self.place
        )))
    }
}

#[async_trait]
impl Provider for Placed {
    fn id(&self) -> &'static str {
        self.provider.id()
    }

    async fn describe(&self) -> ProviderView {
        self.provider.describe().await
    }

    async fn deploy(&self, order: &Order) -> Result<(), ProviderError> {
        self.here().await?.deploy(order).await
    }

    async fn status(&self, resource: &ResourceRef) -> Result<Standing, ProviderError> {
        match self.here().await {
            Ok(provider) => provider.status(resource).await,
            Err(error) => Ok(Standing::Waiting { reason: error.to_string() }),
        }
    }

    async fn scale(&self, order: &Order) -> Result<(), ProviderError> {
        self.here().await?.scale(order).await
    }

    async fn rotate(&self, order: &Order) -> Result<(), ProviderError> {
        self.here().await?.rotate(order).await
    }

    async fn run_job(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        self.here().await?.run_job(order).await
    }

    async fn backup(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        self.here().await?.backup(order).await
    }

    async fn restore(&self, order: &Order) -> Result<JobOutcome, ProviderError> {
        self.here().await?.restore(order).await
    }

    async fn metrics(&self, resource: &ResourceRef) -> Result<Option<ResourceUse>, ProviderError> {
        self.here().await?.metrics(resource).await
    }

    async fn destroy(&self, resource: &ResourceRef) -> Result<(), ProviderError> {
        self.here().await?.destroy(resource).await
    }

    async fn logs(&self, resource: &ResourceRef, lines: usize) -> Result<Vec<String>, ProviderError> {
        self.here().await?.logs(resource, lines).await
    }

    async fn owned(&self, resource: &ResourceRef) -> Result<Vec<String>, ProviderError> {
        self.here().await?.owned(resource).await
    }

    async fn taken_ports(&self) -> Result<BTreeSet<u16>, ProviderError> {
        self.here().await?.taken_ports().await
    }

    async fn place(&self) -> Result<String, ProviderError> {
        self.provider.place().await
    }

    fn mends(&self) -> bool {
        self.provider.mends()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use univrs_ports::provider::{
        JobOutcome, Order, Provider, ProviderError, ProviderView, ResourceRef, Standing,
    };

    use super::Placed;

    /// An engine of the machine `b`; whatever it is asked has no answer.
    struct Engine;

    #[async_trait]
    impl Provider for Engine {
        fn id(&self) -> &'static str {
            "docker"
        }

        async fn describe(&self) -> ProviderView {
            unreachable!()
        }

        async fn deploy(&self, _: &Order) -> Result<(), ProviderError> {
            unreachable!()
        }

        async fn status(&self, _: &ResourceRef) -> Result<Standing, ProviderError> {
            Ok(Standing::Absent)
        }

        async fn rotate(&self, _: &Order) -> Result<(), ProviderError> {
            unreachable!()
        }

        async fn run_job(&self, _: &Order) -> Result<JobOutcome, ProviderError> {
            unreachable!()
        }

        async fn destroy(&self, _: &ResourceRef) -> Result<(), ProviderError> {
            Ok(())
        }

        async fn logs(&self, _: &ResourceRef, _: usize) -> Result<Vec<String>, ProviderError> {
            unreachable!()
        }

        async fn owned(&self, _: &ResourceRef) -> Result<Vec<String>, ProviderError> {
            unreachable!()
        }

        async fn place(&self) -> Result<String, ProviderError> {
            Ok("2 on b".to_owned())
        }
    }

    #[tokio::test]
    async fn nothing_is_removed_in_another_place() {
        let resource = ResourceRef {
            id: univrs_model::ids::ResourceId::from_bits(1),
            org: univrs_model::name::Name::default_org(),
            name: "db".parse().unwrap(),
            workloads: Vec::new(),
        };
        let at = |place: &str| Placed { provider: Arc::new(Engine), place: place.to_owned() };
        assert!(at("2 on b").destroy(&resource).await.is_ok());
        assert_eq!(at("2 on b").status(&resource).await.unwrap(), Standing::Absent);
        let refused = at("1 on a").destroy(&resource).await.unwrap_err().to_string();
        assert!(refused.contains("1 on a") && refused.contains("2 on b"), "{refused}");
        assert!(matches!(at("1 on a").status(&resource).await.unwrap(), Standing::Waiting { .. }));
    }
}

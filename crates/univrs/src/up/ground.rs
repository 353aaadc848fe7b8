//! What a daemon has of its machine before it has the state: what it kept there, and the guard that ends what may not run
//! alone. On a node without a copy the state is there only once a validator is heard.

use std::sync::Arc;

use tokio::sync::OnceCell;
use univrs_agent::Guard;
use univrs_cli::UpArgs;
use univrs_image::ImageStore;
use univrs_ports::keepsake::{Keepsake, OfProcess};
use univrs_ports::runtime::Runtime;
use univrs_runtime::keepsake::OfMachine;

use crate::cluster::directory::Directory;
use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};
use crate::up::containers::{self, Wanted};
use crate::up::parts;

/// What containers run on.
pub(super) struct Ground {
    /// What they run in, if the node runs any.
    pub(super) wanted: Option<Wanted>,
    pub(super) keepsake: Arc<dyn Keepsake>,
    /// Opened once, by whoever needs it first.
    runtime: Arc<OnceCell<Arc<dyn Runtime>>>,
}

impl Ground {
    /// Looks at what the daemon before this one kept, and begins to guard it.
    pub(super) fn open(
        args: &UpArgs,
        dir: &DataDir,
        identity: &Identity,
        standing: &Standing,
    ) -> Result<(Self, Guard), Failure> {
        let wanted = parts::wanted_runtime(args, &standing.roles)?;
        let keepsake: Arc<dyn Keepsake> = match wanted {
            // Simulated containers end with the daemon.
            None | Some(Wanted::Simulated) => Arc::new(OfProcess::default()),
            Some(Wanted::Oci | Wanted::Docker | Wanted::Any) => {
                let path = dir.run_dir(&identity.node);
                let opened = OfMachine::open(&path);
                Arc::new(opened.map_err(|source| Failure::File { doing: "use", path, source })?)
            }
        };
        if !standing.joined && Directory::open(dir.members()).len() <= 1 {
            // Nobody else could have been given anything.
            keepsake.hear(keepsake.uptime());
        }
        let runtime = Arc::new(OnceCell::new());
        let (opened, dir, identity) = (Arc::clone(&runtime), dir.clone(), identity.clone());
        let guard = Guard::begin(
            Arc::clone(&keepsake),
            Box::new(move || {
                let (opened, dir, identity) = (Arc::clone(&opened), dir.clone(), identity.clone());
                Box::pin(async move { again(&opened, wanted, &dir, identity).await })
            }),
        );
        Ok((Self { wanted, keepsake, runtime }, guard))
    }

    /// What containers run in, which the guard may have opened before.
    pub(super) async fn runtime(
        &self,
        wanted: Wanted,
        dir: &DataDir,
        identity: &mut Identity,
        images: &Arc<ImageStore>,
    ) -> Result<Arc<dyn Runtime>, Failure> {
        self.runtime.get_or_try_init(|| containers::open(wanted, dir, identity, images)).await.cloned()
    }
}

/// Opens what containers of an earlier process run in: where they are is settled, so the identity stays as it is.
async fn again(
    opened: &OnceCell<Arc<dyn Runtime>>,
    wanted: Option<Wanted>,
    dir: &DataDir,
    mut identity: Identity,
) -> Result<Arc<dyn Runtime>, String> {
    let Some(wanted) = wanted else { return Err("this node runs no containers".to_owned()) };
    let open = async {
        let images = Arc::new(ImageStore::open(&dir.images(), univrs_image::Options::default())?);
        containers::open(wanted, dir, &mut identity, &images).await
    };
    let found = opened.get_or_try_init(|| open).await;
    found.cloned().map_err(|failure| failure.explain())
}

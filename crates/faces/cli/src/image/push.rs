//! `univrs image push`: an image of this machine into the cluster, of which only what is missing travels, or an image of
//! the server's node to a registry.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;
use univrs_client::{Client, Error};

use super::file::{FiledImage, ImageFile};
use super::tell;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;
use crate::table::size;

/// Blobs that are asked for at once.
const AT_ONCE: usize = 4;
/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// How often in a row the sending of a blob may fail without getting any further.
const TRIES: u32 = 5;
/// The pause after the first failure; later ones are longer.
const PAUSE: Duration = Duration::from_millis(500);
/// What the folder of an image has in it.
const IN_FOLDERS: [&str; 2] = ["index.json", "manifest.json"];
/// How the names of archives end.
const ENDINGS: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];

/// Send an image into the cluster, or from there to a registry
///
/// A file or folder (OCI layout or `docker save`) goes into the cluster: to the server's node, part by part and only what
/// no node has yet; a push that broke off goes on where it was. Other nodes fetch it from there when they need it. A
/// reference goes from the server's node to the registry that it names.
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// A file or folder of this machine, `-` for standard input, or the reference of an image of the cluster
    #[arg(value_name = "FILE|REFERENCE")]
    image: String,
    /// Send it under this reference instead
    #[arg(long, value_name = "REFERENCE")]
    to: Option<String>,
}

impl PushArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        if is_file(&self.image) {
            return self.into_cluster(context).await;
        }
        let target = self.to.clone().unwrap_or_else(|| self.image.clone());
        context.talk(&format!("pushing {target}"))?;
        let reply = context.client.push_image(&self.image, self.to.as_deref()).await?;
        context.talk(&format!("pushed {target}"))?;
        show::written(context, reply.body(), &target, &target)?;
        Ok(Exit::Ok)
    }

    async fn into_cluster(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let Some(files) = context.io.image_files.clone() else {
            return Err(Fault::failed(
                "files of images cannot be opened here",
                Some("use `univrs image import`"),
            ));
        };
        if self.image != "-" {
            let there = tokio::fs::metadata(&self.image).await;
            there.map_err(|source| Fault::local(format!("open {}", self.image), source))?;
        }
        let hint = "export it as a docker-archive (`docker save`) or an OCI layout";
        let file = files.open(&self.image, self.to.as_deref()).await;
        let file = file.map_err(|reason| Fault::failed(format!("{}: {reason}", self.image), Some(hint)))?;
        for image in file.images() {
            send(context, &*file, image).await?;
        }
        Ok(Exit::Ok)
    }
}

/// Whether this means something on this machine, rather than an image of the cluster.
fn is_file(text: &str) -> bool {
    let path = Path::new(text);
    let folder = || IN_FOLDERS.iter().any(|name| path.join(name).is_file());
    // What is not there is told as a missing file, when it was surely meant as one.
    let meant = text.starts_with(['/', '.']) || ENDINGS.iter().any(|end| text.ends_with(end));
    text == "-" || meant || path.is_file() || folder()
}

/// Sends what the cluster does not have of an image, and then the manifest that makes it one.
async fn send(context: &mut Context<'_>, file: &dyn ImageFile, image: &FiledImage) -> Result<(), Fault> {
    let client = context.client.clone();
    let (mut sent, mut bytes) = (0, 0);
    let mut states = states(&client, image).await?;
    if context.dry_run {
        let missing =
            image.blobs.iter().zip(&states).filter(|(_, (place, _))| place != "here" && place != "elsewhere");
        let (count, bytes) = missing.fold((0, 0), |(count, bytes), ((_, length), (_, received))| {
            (count + 1, bytes + length.saturating_sub(*received))
        });
        let all = image.blobs.len();
        return context.talk(&format!(
            "{}: would send {count} of {all} parts ({})",
            image.reference,
            size(bytes)
        ));
    }
    // What another node says it has may be gone by the time it is fetched: then it is sent after all.
    for only_missing in [true, false] {
        for (at, (digest, length)) in image.blobs.iter().enumerate() {
            let (place, received) = states[at].clone();
            if place == "here" || (only_missing && place == "elsewhere") {
                continue;
            }
            context.talk(&format!("{}: sending {} ({})", image.reference, short(digest), size(*length)))?;
            send_blob(&client, file, digest, *length, received).await?;
            states[at].0 = "here".to_owned();
            (sent, bytes) = (sent + 1, bytes + length.saturating_sub(received));
        }
        match client.send_manifest(&image.reference, image.manifest.clone()).await {
            Ok(reply) => {
                let all = image.blobs.len();
                context.talk(&format!(
                    "{}: sent {sent} of {all} parts, {}; the cluster had the others",
                    image.reference,
                    size(bytes)
                ))?;
                return tell(context, "pushed", &reply);
            }
            Err(Error::Problem(problem)) if only_missing && problem.code == "image_incomplete" => {}
            Err(error) => return Err(error.into()),
        }
    }
    let detail = format!("{}: parts of it vanish from the server as they are sent", image.reference);
    Err(Fault::failed(detail, Some("push it again; look at the disk of the server's node")))
}

/// Where each blob of an image is, and how much of it has come.
async fn states(client: &Client, image: &FiledImage) -> Result<Vec<(String, u64)>, Error> {
    let asked = image.blobs.iter().map(|(digest, _)| async move {
        let state = client.blob(digest).await?.value()?;
        Ok::<_, Error>((state.place, state.received))
    });
    futures::stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

/// Sends a blob to its end, from where it broke off if it does.
async fn send_blob(
    client: &Client,
    file: &dyn ImageFile,
    digest: &str,
    length: u64,
    mut received: u64,
) -> Result<(), Fault> {
    let mut failures = 0;
    loop {
        let bytes = file.blob(digest, received).await;
        let bytes = bytes.map_err(|source| Fault::local(format!("read {digest}"), source))?;
        let bytes = ReaderStream::with_capacity(bytes, PIECE);
        let error = match client.send_blob(digest, received, length, bytes).await {
            Ok(reply) => match reply.value()? {
                state if state.place == "here" => return Ok(()),
                _ => Error::BadReply { status: reply.status(), detail: "it wants more than all".to_owned() },
            },
            Err(error) => error,
        };
        failures += 1;
        if failures >= TRIES || !may_pass(&error) {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE * failures).await;
        // What cannot be asked either is one failure more.
        let Ok(Ok(state)) = client.blob(digest).await.map(|reply| reply.value()) else { continue };
        if state.place == "here" {
            return Ok(());
        }
        if state.received > received {
            failures = 0;
        }
        received = state.received;
    }
}

/// Whether the same may succeed a little later.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Timeout { .. } => true,
        Error::Problem(problem) => matches!(problem.status, 502..=504) || problem.code == "blob_offset",
        Error::BadReply { .. } | Error::Planned { .. } | Error::Options { .. } => false,
    }
}

/// The first digits of a digest.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

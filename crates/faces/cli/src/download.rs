//! Streams that are kept as files, whole or not at all.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::AsyncWriteExt;
use univrs_client::Error;

use crate::context::Context;
use crate::fault::Fault;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever the system lets by default.
    Usual,
    /// Its owner.
    Owner,
}

/// Refuses `-` where standard output is a terminal; `what` begins the sentence.
pub(crate) fn refuse_terminal(context: &Context<'_>, file: &str, what: &str) -> Result<(), Fault> {
    if file == "-" && context.io.shows_data {
        return Err(Fault::usage(format!("{what} is not for a terminal"), "name a file instead of `-`"));
    }
    Ok(())
}

/// Writes all pieces into `file`; `-` is standard output. Answers how many bytes there are in the file, and nothing
/// for standard output.
pub(crate) async fn keep(
    context: &mut Context<'_>,
    mut pieces: BoxStream<'static, Result<Bytes, Error>>,
    file: &str,
    readers: Readers,
) -> Result<Option<u64>, Fault> {
    if file == "-" {
        while let Some(piece) = pieces.next().await {
            context.io.raw(&piece?)?;
        }
        return Ok(None);
    }
    let part = format!("{file}.part");
    let failed = |source| Fault::local(format!("write {part}"), source);
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if readers == Readers::Owner {
        options.mode(0o600);
    }
    let mut output = options.open(&part).await.map_err(failed)?;
    let mut written = 0_u64;
    let copy = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            output.write_all(&piece).await.map_err(failed)?;
            written += piece.len() as u64;
        }
        output.sync_all().await.map_err(failed)
    };
    if let Err(fault) = copy.await {
        // A part that cannot be removed either is named in the error before it.
        let _ = tokio::fs::remove_file(&part).await;
        return Err(fault);
    }
    tokio::fs::rename(&part, file).await.map_err(failed)?;
    Ok(Some(written))
}

//! Logs as a stream.

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use univrs_ports::runtime::{ContainerId, LogLine, LogQuery, RuntimeError};

use super::{blocking, failed};
use crate::logfile::Reader;

/// How often it is looked for more.
const LOOK: Duration = Duration::from_millis(100);
/// How many lines are read in one go.
const BATCH: usize = 256;

pub(super) async fn read(
    id: &ContainerId,
    dir: PathBuf,
    query: LogQuery,
) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
    let id = id.clone();
    let name = id.clone();
    let reader = blocking(move || {
        if !dir.exists() {
            return Err(RuntimeError::NotFound { id: name.to_string() });
        }
        Reader::open(&dir, query).map_err(failed(&name, "read its log"))
    })
    .await?;
    let batches = stream::unfold(Some(reader), move |reader| {
        let id = id.clone();
        async move {
            let mut reader = reader?;
            loop {
                let name = id.clone();
                let read = blocking(move || {
                    let (batch, alive) = read_batch(&mut reader).map_err(failed(&name, "read its log"))?;
                    Ok((batch, alive, reader))
                })
                .await;
                match read {
                    Ok((batch, _, next)) if !batch.is_empty() => {
                        return Some((batch.into_iter().map(Ok).collect::<Vec<_>>(), Some(next)));
                    }
                    Ok((_, alive, next)) if query.follow && alive => {
                        reader = next;
                        tokio::time::sleep(LOOK).await;
                    }
                    Ok(_) => return None,
                    Err(error) => return Some((vec![Err(error)], None)),
                }
            }
        }
    });
    Ok(batches.flat_map(stream::iter).boxed())
}

fn read_batch(reader: &mut Reader) -> std::io::Result<(Vec<LogLine>, bool)> {
    // Asked before reading: what is written after the answer is read in the next round.
    let alive = reader.alive();
    let mut batch = Vec::new();
    while batch.len() < BATCH {
        match reader.next_line()? {
            Some(line) => batch.push(line),
            None => break,
        }
    }
    Ok((batch, alive))
}

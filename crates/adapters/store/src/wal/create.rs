//! The beginning of a segment.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use univrs_ports::store::Result;

use super::record::{self, Kind, SEGMENT_HEADER, SegmentId};
use super::recover::Checkpoint;
use super::state::Segment;
use super::{Shared, WalOptions};
use crate::disk::{self, io_error};

/// Creates a segment with its checkpoint and makes both durable.
pub(super) fn create_segment(
    options: &WalOptions,
    shared: &Shared,
    id: SegmentId,
) -> Result<(Arc<File>, PathBuf, u64)> {
    let path = options.directory.log().join(format!("{:010}.log", id.sequence));
    let checkpoint = {
        let view = shared.view();
        Checkpoint { vote: view.vote, committed: view.committed, purged: view.purged }
    };
    let payload = postcard::to_stdvec(&checkpoint)
        .map_err(|error| io_error("encode", &path)(std::io::Error::other(error)))?;
    let mut bytes = record::encode_header(id).to_vec();
    record::encode(&mut bytes, id.sequence, SEGMENT_HEADER as u64, 0, Kind::Checkpoint, &payload);
    let created = (|| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        options.space.reserve(&file, 0, bytes.len() as u64 + options.reserve_bytes)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        Ok(file)
    })();
    let file = match created {
        Ok(file) => Arc::new(file),
        Err(error) => {
            let _best_effort = fs::remove_file(&path);
            return Err(io_error("create", &path)(error));
        }
    };
    disk::sync_parent(&path)?;
    let segment = Segment { file: Arc::clone(&file), path: path.clone(), max_index: None };
    shared.view().segments.insert(id.sequence, segment);
    Ok((file, path, bytes.len() as u64))
}

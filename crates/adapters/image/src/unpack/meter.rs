//! A layer's uncompressed stream: decompressed, hashed, and bounded.
//!
//! Besides the bound on the whole there is one on each tar header: long names and extended headers are read into
//! memory, so an archive that claims a name of gigabytes must be stopped before that.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use crate::digest::{Digest, Hasher};

const HEADER_ALLOWANCE: u64 = 4 << 20;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first bytes, since declared types are often wrong.
    pub(crate) fn of(file: &mut File) -> io::Result<Self> {
        let start = start_of(file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self::by(&start))
    }

    fn by(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

fn start_of(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    stream.take(4).read_to_end(&mut start)?;
    Ok(start)
}

/// The uncompressed bytes of a file that may be compressed.
pub(crate) fn decompressed(file: File) -> io::Result<Box<dyn Read + Send>> {
    decompressed_stream(file)
}

/// The uncompressed bytes of a stream that may be compressed.
pub(crate) fn decompressed_stream(
    mut stream: impl Read + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    let start = start_of(&mut stream)?;
    let compression = Compression::by(&start);
    let buffered = BufReader::with_capacity(256 * 1024, io::Cursor::new(start).chain(stream));
    Ok(match compression {
        Compression::Plain => Box::new(buffered),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered)?),
    })
}

/// Hashes and bounds what is read through it; read by shared reference, so that bounds can change between entries.
pub(crate) struct Meter<R> {
    inner: RefCell<R>,
    hasher: RefCell<Hasher>,
    limit: u64,
    header_allowance: Cell<Option<u64>>,
}

impl<R: Read> Meter<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Self {
        Self {
            inner: RefCell::new(inner),
            hasher: RefCell::default(),
            limit,
            header_allowance: Cell::new(Some(HEADER_ALLOWANCE)),
        }
    }

    /// A header is read next.
    pub(crate) fn expect_header(&self) {
        self.header_allowance.set(Some(HEADER_ALLOWANCE));
    }

    /// Content is read next.
    pub(crate) fn expect_content(&self) {
        self.header_allowance.set(None);
    }

    /// Reads the rest and answers the digest of all.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        self.expect_content();
        io::copy(&mut &self, &mut io::sink())?;
        Ok(self.hasher.into_inner().finish().0)
    }
}

impl<R: Read> Read for &Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.borrow_mut().read(buffer)?;
        let mut hasher = self.hasher.borrow_mut();
        hasher.update(&buffer[..read]);
        if hasher.length() > self.limit {
            return Err(io::Error::other(format!("it has more than {} bytes", self.limit)));
        }
        if let Some(left) = self.header_allowance.get() {
            let Some(left) = left.checked_sub(read as u64) else {
                return Err(io::Error::other("a name or extended header in it is too long"));
            };
            self.header_allowance.set(Some(left));
        }
        Ok(read)
    }
}

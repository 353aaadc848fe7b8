//! The provider schemas the tests check against.

use std::io::Read;
use std::sync::LazyLock;

use univrs_tofu::check::Schemas;

const PACKED: &[u8] = include_bytes!("../data/tf-schema.json.gz");

/// All seven providers. Where they come from is said in `docs/emit.md`.
pub(crate) static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(PACKED).read_to_end(&mut text).unwrap();
    Schemas::parse(&text).unwrap()
});

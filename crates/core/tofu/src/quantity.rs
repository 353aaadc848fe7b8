//! Quantities in the units providers count in. Rounded up: nobody gets less than stated.

use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::span::Span;

const GIB: u64 = 1024 * 1024 * 1024;

/// GiB, rounded up.
pub(crate) fn gib(size: Bytes) -> u64 {
    size.get().div_ceil(GIB)
}

/// GiB to the third decimal.
pub(crate) fn gib_decimal(size: Bytes) -> f64 {
    // Sizes of machines are far below 2^52 MiB, so nothing is lost.
    let mebibytes = u32::try_from(size.get() / (1024 * 1024)).unwrap_or(u32::MAX);
    (f64::from(mebibytes) / 1024.0 * 1000.0).round() / 1000.0
}

/// Whole processors, rounded up.
pub(crate) fn cpus(cpu: Cpu) -> u64 {
    cpu.as_millicores().div_ceil(1000)
}

/// Processors as a decimal number.
pub(crate) fn cores(cpu: Cpu) -> f64 {
    f64::from(u32::try_from(cpu.as_millicores()).unwrap_or(u32::MAX)) / 1000.0
}

/// Seconds, rounded up.
pub(crate) fn seconds(span: Span) -> u64 {
    span.as_millis().div_ceil(1000)
}

/// Days, rounded up.
pub(crate) fn days(span: Span) -> u64 {
    seconds(span).div_ceil(24 * 60 * 60)
}

//! Seals secrets with keys that lie outside the store.
//!
//! | what | how |
//! |---|---|
//! | a value | XChaCha20-Poly1305 under a data key, random 24-byte nonce, bound to organisation, name, id and version |
//! | a data key | 32 random bytes, HPKE (RFC 9180, X25519, HKDF-SHA256, ChaCha20-Poly1305) to each validator |
//! | a validator's key | 32 bytes in a file of the data directory that only its owner reads ([`key_file`]) |
//!
//! Everything in the store is therefore useless without one validator's data directory. Plain keys are wiped when
//! they go out of use; the two libraries wipe their own.

pub mod key_file;
mod sealer;

pub use key_file::KeyFileError;
pub use sealer::ValidatorSealer;

//! AI operators.
